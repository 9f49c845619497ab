"""Evidence over HTTP: why a job's calls went where they went."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.http.answers import answer
from api.http.openapi import documented
from api.room import admit
from api.v1.evidence_views import EvidenceView
from pipelines.analyze.evidence import evidence_view
from synthralos.domain.permissions import Permission

router = APIRouter(tags=["jobs"])


@router.get("/api/v1/jobs/{job_id}/evidence", **documented(EvidenceView, "The evidence", found=True, validated=True))
async def get_evidence(request: Request, job_id: str) -> Response:
    """Say of each call of a job where it went, what had been demanded and decided before, and who had sent it there."""
    room, caller = await admit(request, Permission.READ_JOBS)
    job = await room.job(job_id, caller)
    exports = await room.read(lambda: room.exports.of_job(job["id"]))
    return answer(evidence_view(job, await room.read(lambda: room.evidence.of(job["id"])), exports))
