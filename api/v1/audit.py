"""The audit log over HTTP: who changed what, when, from what to what."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.http.answers import answer
from api.http.openapi import documented
from api.room import admit
from api.v1.configuration_views import AuditList, AuditQuery
from api.v1.queries import decode_cursor, encode_cursor
from pipelines.analyze.trace import rfc3339
from synthralos.domain.permissions import Permission
from synthralos.store.admin.audit import AuditEntry, AuditFilter

router = APIRouter(prefix="/api/v1", tags=["configuration"])


@router.get("/audit", **documented(AuditList, "Changes, newest first", validated=True))
async def list_changes(request: Request, query: Annotated[AuditQuery, Query()]) -> Response:
    """List changes by people and programs. Who is bound to an organization sees what concerns that one."""
    room, caller = await admit(request, Permission.READ_AUDIT)
    wanted = AuditFilter(
        query.actor,
        query.act,
        query.subject,
        query.organization,
        query.since,
        query.until,
        None if query.cursor is None else decode_cursor(query.cursor),
    )
    found = await room.read(lambda: room.audit.page(wanted, caller.scope, query.limit + 1))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"changes": [_view(entry) for entry in shown], "next": following})


def _view(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": rfc3339(entry.at),
        "actor": entry.actor,
        "act": entry.act,
        "subject": entry.subject,
        "organization": entry.organization,
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
    }
