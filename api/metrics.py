"""`GET /metrics`: the metrics of this process, for Prometheus."""

from typing import Any

from fastapi import APIRouter, Request
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import Response

from api.http.openapi import problem
from api.http.problems import forbidden
from api.room import admit
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import EVERYTHING

router = APIRouter(tags=["health"])

_SHOWN: dict[int | str, Any] = {
    200: {
        "description": "The metrics, in Prometheus's text format or in OpenMetrics, as the Accept header asks",
        "content": {CONTENT_TYPE_PLAIN_0_0_4: {"schema": {"type": "string"}}},
    },
    **{status: problem(status) for status in (401, 403, 429, 500, 503)},
}


@router.get("/metrics", responses=_SHOWN, response_class=Response, openapi_extra={"security": [{"key": []}]})
async def metrics(request: Request) -> Response:
    """Metrics of this API process. They are about all tenants: the key must be one of the whole installation."""
    room, caller = await admit(request, Permission.READ_METRICS)
    if caller.scope != EVERYTHING:
        raise forbidden("Metrics are about all tenants: this needs a key that is bound to no organization.")
    body, content_type = await room.write(lambda: room.core.metrics.render(request.headers.get("accept", "")))
    return Response(body, headers={"Content-Type": content_type})
