"""The catalog over HTTP: the deployments that are in force, and entries that stand in for those of the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import require_everything
from api.http.openapi import documented, takes
from api.http.problems import invalid, invalid_field, not_found
from api.http.versions import IfMatch, changed_meanwhile, etag, expected_version
from api.room import Room, admit
from api.v1.configuration_views import DeploymentList, DeploymentView, ReasonQuery, changed
from pipelines.intake.alias_errors import left_without
from synthralos.config.catalog import CatalogError, DeploymentEntry
from synthralos.config.deployment_view import deployment_view
from synthralos.config.left_open import left_open
from synthralos.domain.aliases import AliasError
from synthralos.domain.deployments import Deployment
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Stored
from synthralos.store.admin.policies import Outdated

router = APIRouter(prefix="/api/v1", tags=["configuration"])

Id = Annotated[str, Path(min_length=1, max_length=200, description="provider/model@region")]


@router.get("/deployments", **documented(DeploymentList, "The catalog that is in force"))
async def list_deployments(request: Request) -> Response:
    """List the deployments that jobs may go to, with their prices and limits."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    stored = await room.read(room.configuration.read)
    found = [_view(room, stored, each, caller.scope) for each in room.core.catalog]
    return answer({"deployments": found, "aliases": room.core.catalog.aliases})


@router.get("/deployments/{deployment_id:path}", **documented(DeploymentView, "It", found=True, validated=True))
async def get_deployment(request: Request, deployment_id: Id) -> Response:
    """One deployment."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    return await _answered(room, deployment_id, caller.scope)


@router.put(
    "/deployments/{deployment_id:path}",
    **documented(DeploymentView, "The deployment afterwards", found=True, validated=True, versioned=True, body=True),
    openapi_extra=takes(DeploymentEntry, required=True),
)
async def set_deployment(
    request: Request, deployment_id: Id, query: Annotated[ReasonQuery, Query()], if_match: IfMatch = None
) -> Response:
    """Add a deployment, or have an entry in place of the catalog file's. In force everywhere within two seconds.

    With If-Match, only where nobody changed it meanwhile; `"0"`: only where the database has no entry. `warnings` tell
    what is left open. Refused where an alias would stand for nothing.
    """
    room, caller = await admit(request, Permission.WRITE_DEPLOYMENTS)
    require_everything(caller, "change the catalog")
    wanted = await read_document(request, room, DeploymentEntry)
    entry = wanted.model_dump(mode="json", exclude_unset=True)
    with _told_by_field():
        room.core.live.checked(deployment_id, entry)
    by, expected, check = By(caller.actor, query.reason), expected_version(if_match), room.core.live.check_names()
    with _told_by_field():
        outcome = await room.configure(
            lambda: room.configuration.set_deployment(deployment_id, entry, by, expected, check)
        )
    if outcome is not None:
        raise changed_meanwhile("deployment", outcome.version)
    return await _answered(room, deployment_id, caller.scope)


@router.delete(
    "/deployments/{deployment_id:path}",
    **documented(DeploymentList, "The catalog afterwards", found=True, validated=True, versioned=True),
)
async def remove_deployment(
    request: Request, deployment_id: Id, query: Annotated[ReasonQuery, Query()], if_match: IfMatch = None
) -> Response:
    """Remove an entry: the catalog file's holds again, if it has one. Jobs on their way take their plan's next step.

    Refused where an alias would stand for nothing: change that one first.
    """
    room, caller = await admit(request, Permission.WRITE_DEPLOYMENTS)
    require_everything(caller, "change the catalog")
    by, expected, check = By(caller.actor, query.reason), expected_version(if_match), room.core.live.check_names()
    with _told_by_field():
        outcome = await room.configure(lambda: room.configuration.remove_deployment(deployment_id, by, expected, check))
    if isinstance(outcome, Outdated):
        raise changed_meanwhile("deployment", outcome.version)
    if not outcome:
        raise not_found("No such deployment was added; the catalog file's own are changed there, or overridden by PUT.")
    return await list_deployments(request)


async def _answered(room: Room, deployment_id: str, scope: Scope) -> Response:
    deployment = room.core.catalog.get(deployment_id)
    if deployment is None:
        raise not_found("The catalog has no such deployment.")
    view = _view(room, await room.read(room.configuration.read), deployment, scope)
    return answer(view, 200, etag(view["version"]))


@contextmanager
def _told_by_field() -> Iterator[None]:
    try:
        yield
    except AliasError as error:
        raise invalid([left_without(error, "path.deployment_id")]) from None
    except CatalogError as error:
        field = "path.deployment_id" if error.field == "id" else error.field
        raise invalid_field(
            field or "body", error.reason or str(error), "change it: docs/routing.md and /docs say what an entry may be"
        ) from None


def _view(room: Room, stored: Stored, deployment: Deployment, scope: Scope) -> dict[str, Any]:
    """Who is bound to a tenant does not see who operates the installation, nor where the servers are."""
    found = stored.deployments.get(deployment.id)
    shown = found if scope == EVERYTHING else None
    view = deployment_view(deployment, room.core.live.current.credentials.why_not_offered(deployment))
    return {
        **view,
        "source": "file" if found is None else "database",
        "version": 0 if found is None else found.version,
        "warnings": left_open(deployment),
        "entry": None if shown is None else shown.value,
        **changed(shown),
    }
