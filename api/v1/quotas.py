"""Quotas of providers over HTTP: what is known of each, what is closed until when, and to have it forgotten."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import require_everything
from api.http.openapi import documented, takes
from api.http.problems import not_found
from api.room import Room, admit
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.schema import ReasonIn
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Permission
from synthralos.domain.quota_report import QuotaReport, reports
from synthralos.domain.quota_units import Unit
from synthralos.domain.quotas import Source, declared_by
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1", tags=["healing"])

Name = Annotated[str, Path(min_length=1, max_length=400, description="CREDENTIAL/MODEL, as the list says")]


class QuotaLimitView(View):
    """One unit of a quota."""

    unit: Unit
    limit: Annotated[int, Field(description="a minute")]
    source: Annotated[Source, Field(description="header: the provider said it; refusal: it was guessed from those")]
    left: Annotated[int | None, Field(description="when an answer last told; null: none did")]
    seen: Annotated[AwareDatetime | None, Field(description="when an answer last told what is left")]


class QuotaView(View):
    """What is known of the quota of a credential and a model."""

    name: str
    credential: Annotated[str, Field(description="the name of its key; its provider where none is needed")]
    model: Annotated[str, Field(description="as the provider names it")]
    limits: list[QuotaLimitView]
    closed_until: Annotated[AwareDatetime | None, Field(description="null: calls are made, as its limits allow")]
    reason: Annotated[str | None, Field(description="why it is closed; null for keys of a tenant")]
    refusals: Annotated[int, Field(description="in a row, before the last closure")]


class QuotaList(View):
    """All quotas of which anything was learned, or is declared in the catalog."""

    quotas: list[QuotaView]


@router.get("/quotas", **documented(QuotaList, "The quotas"))
async def list_quotas(request: Request) -> Response:
    """List the quotas of providers, by credential and model: limits, what is left, and what is closed until when."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    found = await _all(room)
    return answer({"quotas": [_view(each, open_to_all=caller.scope == EVERYTHING) for each in found.values()]})


@router.get("/quotas/{name:path}", **documented(QuotaView, "It", found=True, validated=True))
async def get_quota(request: Request, name: Name) -> Response:
    """One quota."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    found = (await _all(room)).get(name)
    if found is None:
        raise _unknown()
    return answer(_view(found, open_to_all=caller.scope == EVERYTHING))


@router.post(
    "/quotas/{name:path}/reset",
    **documented(QuotaView, "It afterwards", found=True, validated=True, body=True),
    openapi_extra=takes(ReasonIn, required=False),
)
async def reset_quota(request: Request, name: Name) -> Response:
    """Forget what was learned of a quota, and open it: calls are made again within a second, and teach it anew."""
    room, caller = await admit(request, Permission.WRITE_BREAKERS)
    require_everything(caller, "reset quotas")
    body = await read_document(request, room, ReasonIn, optional=True)
    by = By(caller.actor, body.reason)
    if await room.write(lambda: room.quotas.reset(name, by)) is not None:
        await room.tell(Topic.QUOTAS, [name])
    return await get_quota(request, name)


async def _all(room: Room) -> dict[str, QuotaReport]:
    found, now = await room.read(room.quotas.all)
    return {
        each.name: each
        for each in reports(found, declared_by(room.core.catalog, room.core.live.current.credentials.names_for), now)
    }


def _unknown() -> Exception:
    return not_found("Nothing is known of such a quota: GET /api/v1/quotas lists those that are known by name.")


def _view(report: QuotaReport, *, open_to_all: bool) -> dict[str, Any]:
    return {
        "name": report.name,
        "credential": report.credential,
        "model": report.model,
        "limits": [
            {
                "unit": each.unit,
                "limit": each.limit,
                "source": each.source,
                "left": each.left,
                "seen": None if each.seen is None else rfc3339(each.seen),
            }
            for each in report.limits
        ],
        "closed_until": None if report.closed_until is None else rfc3339(report.closed_until),
        "reason": (report.reason or None) if open_to_all else None,
        "refusals": report.refusals,
    }
