"""Provider keys over HTTP: their names, and which of them providers refuse. Never a value, or a part of one."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from api.http.answers import answer
from api.http.auth import require_everything
from api.http.openapi import documented
from api.room import admit
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from synthralos.domain.credential_states import CredentialState, standings
from synthralos.domain.permissions import Permission

router = APIRouter(prefix="/api/v1", tags=["healing"])


class CredentialView(View):
    """One provider key, by name."""

    name: str
    state: Annotated[CredentialState, Field(description="missing: deployments want it, and this API process has none")]
    since: Annotated[AwareDatetime | None, Field(description="since when it is refused")]
    reason: Annotated[str | None, Field(description="why, as the provider's answer was classified")]
    deployments: Annotated[list[str], Field(description="those that may be called with it")]
    refused_by: Annotated[list[str], Field(description="those of them that refuse it")]


class CredentialList(View):
    """All provider keys that deployments of the catalog want."""

    credentials: list[CredentialView]


@router.get("/credentials", **documented(CredentialList, "The credentials"))
async def list_credentials(request: Request) -> Response:
    """List the provider keys by name, and how they stand. What is refused gets no calls but a few probes."""
    room, caller = await admit(request, Permission.READ_DEPLOYMENTS)
    require_everything(caller, "see provider keys")
    config = room.core.live.current
    shut = await room.read(room.breakers.all)
    there = [key.name for key in config.credentials.keys]
    found = standings(config.credentials.wanted(config.catalog), there, shut)
    return answer(
        {
            "credentials": [
                {
                    "name": each.name,
                    "state": each.state,
                    "since": rfc3339(each.since),
                    "reason": each.reason or None,
                    "deployments": each.deployments,
                    "refused_by": each.refused_by,
                }
                for each in found
            ]
        }
    )
