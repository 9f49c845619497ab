"""Erasures over HTTP: what is known of a person or a tenant is erased, in the background."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import forbidden, invalid_field, not_found
from api.room import Room, admit
from api.v1.idempotency import once
from api.v1.queries import encode_cursor
from api.v1.retention_views import ErasureIn, ErasureList, ErasuresQuery, ErasureView, erasure_view
from synthralos.bus.protocol import Topic
from synthralos.domain.erasures import Erasure, OpenJobs
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1/erasures", tags=["privacy"])


@router.post(
    "",
    **documented(ErasureView, "The erasure, running", found=True, validated=True, body=True, status=202),
    openapi_extra=takes(ErasureIn, required=True, keyed=True),
)
async def erase(request: Request) -> Response:
    """Erase what is known of a person, a workspace or an organization. It cannot be undone.

    It goes on whatever process dies, and is about what there is now. What calls cost stays, under a pseudonym. With an
    Idempotency-Key, the same call again gives the same erasure.
    """
    room, caller = await admit(request, Permission.ERASE)
    wanted = await read_document(request, room, ErasureIn)
    scope, open_jobs = _scope(caller, wanted), OpenJobs(wanted.open_jobs)

    async def make(by: By) -> Response:
        created = await room.write(lambda: room.erasures.create(scope, open_jobs, by))
        await room.tell(Topic.OPERATIONS, [created.id])
        return answer(erasure_view(created), 202)

    async def again(made: str) -> Response:
        return answer(erasure_view(await _found(room, caller, made)), 202)

    return await once(request, room, caller, wanted, make, again)


@router.get("", **documented(ErasureList, "A page of erasures, newest first", validated=True))
async def list_erasures(request: Request, query: Annotated[ErasuresQuery, Query()]) -> Response:
    """List the erasures, newest first. Of those that are done the person's id is forgotten."""
    room, caller = await _reading(request)
    organization = caller.scope.organization
    found = await room.read(lambda: room.erasures.page(organization, query.limit + 1, query.before))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"erasures": [erasure_view(each) for each in shown], "next": following})


@router.get("/{erasure_id}", **documented(ErasureView, "It", found=True))
async def get_erasure(request: Request, erasure_id: str) -> Response:
    """One erasure, with how far it is and what was erased."""
    room, caller = await _reading(request)
    return answer(erasure_view(await _found(room, caller, erasure_id)))


async def _found(room: Room, caller: Caller, erasure_id: str) -> Erasure:
    found = None
    if is_id(erasure_id):
        found = await room.read(lambda: room.erasures.get(erasure_id.lower(), caller.scope.organization))
    if found is None:
        raise not_found("There is no such erasure, or none that this key may see.")
    return found


async def _reading(request: Request) -> tuple[Room, Caller]:
    room, caller = await admit(request, Permission.READ_ERASURES)
    if caller.scope.workspace or caller.scope.user:
        raise forbidden("Erasures are seen by keys that are bound to no workspace and no user.")
    return room, caller


def _scope(caller: Caller, wanted: ErasureIn) -> Scope:
    """Whose data it is, within what the key may see."""
    own = caller.scope
    organization = wanted.organization or own.organization
    if organization is None:
        raise invalid_field("organization", "is missing", "name the organization whose data is erased")
    if own.organization not in (None, organization):
        raise not_found("No such organization is this key's.")
    if own.workspace or own.user:
        raise forbidden("Data is erased by keys that are bound to no workspace and no user.")
    if wanted.workspace is None and wanted.user is None and not wanted.everything:
        raise invalid_field("everything", "is false", "set it to true to erase the organization, or name a user")
    return Scope(organization, wanted.workspace, wanted.user)
