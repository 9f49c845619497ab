"""Repairs by StackStorm over HTTP: what was asked of it and what came of that; asking for one, and reporting."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import conflict, invalid, invalid_field, not_found
from api.room import Room, admit
from api.v1.idempotency import once
from api.v1.queries import encode_cursor
from api.v1.repair_views import RepairIn, RepairList, RepairsQuery, RepairView, ReportIn, repair_view
from pipelines.analyze.trace import rfc3339
from pipelines.intake.schema import RerouteIn
from synthralos.bus.protocol import Topic
from synthralos.config.config import RepairTerms
from synthralos.domain.flags import Flag
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.domain.repairs import Repair, RepairKind
from synthralos.domain.residency import kept_from
from synthralos.domain.states import TERMINAL, State
from synthralos.store.admin.audit import By
from synthralos.store.queue.repairs import Wanted

router = APIRouter(prefix="/api/v1", tags=["repairs"])

RepairId = Annotated[str, Path(min_length=1, max_length=64)]

_FLAGS = {RepairKind.REROUTE: Flag.ENABLE_STACKSTORM_REROUTE}
_ASKED = documented(RepairView, "It, asked for", found=True, validated=True, conflicting=True, body=True, status=202)
_REPORTED = documented(RepairView, "It afterwards", found=True, validated=True, body=True)


@router.get("/repairs", **documented(RepairList, "A page of repairs, newest first", validated=True))
async def list_repairs(request: Request, query: Annotated[RepairsQuery, Query()]) -> Response:
    """List repairs by StackStorm, newest first."""
    room, caller = await admit(request, Permission.READ_JOBS)
    wanted = query.wanted()
    found = await room.read(lambda: room.repairs.page(wanted, caller.scope, query.limit + 1))
    shown = found[: query.limit]
    following = encode_cursor(shown[-1].id) if len(found) > query.limit else None
    return answer({"repairs": [repair_view(each) for each in shown], "next": following})


@router.get("/repairs/{repair_id}", **documented(RepairView, "It", found=True, validated=True))
async def get_repair(request: Request, repair_id: RepairId) -> Response:
    """One repair."""
    room, caller = await admit(request, Permission.READ_JOBS)
    return answer(repair_view(await _found(room, caller, repair_id)))


@router.post("/jobs/{job_id}/repair", **_ASKED, openapi_extra=takes(RepairIn, required=False, keyed=True))
async def ask_for_repair(request: Request, job_id: str) -> Response:
    """Ask StackStorm to repair a job. While a repair of the job is open, asking again gives that one."""
    room, caller = await admit(request, Permission.RETRY_JOBS)
    body = await read_document(request, room, RepairIn, optional=True)
    if body.wanted is RepairKind.REROUTE:
        await admit(request, Permission.REROUTE_JOBS)
    job = await room.job(job_id, caller)

    async def make(by: By) -> Response:
        terms = _terms(room, job, body.wanted)
        _check(room, job, body)
        wanted = Wanted(body.wanted, _parameters(job, body), terms.patience)
        asked = await room.write(lambda: room.repairs.ask(job["id"], caller.scope, wanted, by))
        if asked is None:
            raise not_found("There is no such job, or none that this key may see.")
        await room.tell(Topic.REPAIRS, [job["id"]])
        return answer(repair_view(asked), 202)

    async def again(made: str) -> Response:
        return answer(repair_view(await _found(room, caller, made)), 202)

    return await once(request, room, caller, body, make, again)


async def _found(room: Room, caller: Caller, repair_id: str) -> Repair:
    found = None
    if is_id(repair_id):
        found = await room.read(lambda: room.repairs.get(repair_id.lower(), caller.scope))
    if found is None:
        raise not_found("There is no such repair, or none that this key may see.")
    return found


@router.post("/repairs/{repair_id}/report", **_REPORTED, openapi_extra=takes(ReportIn, required=True))
async def report_repair(request: Request, repair_id: RepairId) -> Response:
    """Report what StackStorm did about an incident. The first report of a repair that is open counts."""
    room, caller = await admit(request, Permission.WRITE_INCIDENTS)
    body = await read_document(request, room, ReportIn)
    found = None
    if is_id(repair_id):
        by = By(caller.actor, body.reason)
        said = repair_id.lower(), caller.scope, body.outcome, body.detail, by
        found = await room.write(lambda: room.incident_repairs.report(*said))
    if found is None:
        raise not_found("There is no such repair of an incident, or none that this key may see.")
    await room.tell(Topic.REPAIRS, [found.id])
    return answer(repair_view(found))


def _terms(room: Room, job: dict[str, Any], kind: RepairKind) -> RepairTerms:
    """On which terms StackStorm may be asked about the job; raises a 409 where it may not be."""
    config = room.core.live.current
    if config.stackstorm is None:
        raise conflict("There is no StackStorm to ask: set STACKSTORM_API_URL and STACKSTORM_API_KEY.")
    for flag in (Flag.ENABLE_STACKSTORM, _FLAGS.get(kind, Flag.ENABLE_STACKSTORM_RETRY)):
        if not config.flags.on(flag, job["organization"]):
            raise conflict(
                f"The flag {flag} is off for the job's organization: switch it on, or retry the job yourself."
            )
    classification = job["constraints"].get("classification")
    if kept_from(classification, config.stackstorm.residency) is not None:
        raise conflict(
            f"Of data classified {classification} StackStorm may not be told where it is declared to be "
            "(STACKSTORM_RESIDENCY): retry or reroute the job yourself."
        )
    return config.stackstorm


def _check(room: Room, job: dict[str, Any], body: RepairIn) -> None:
    if job["state"] == State.SUCCEEDED:
        raise conflict("The job has succeeded: there is nothing to repair.")
    if body.wanted is RepairKind.RECOVER and job["run_id"] is None:
        raise invalid_field("kind", "wants a job of a run", "choose retry or reroute")
    if body.wanted is not RepairKind.REROUTE and {"pin", "exclude"} & body.model_fields_set:
        raise invalid_field("pin", "belongs to reroute, as exclude does", "choose that kind, or leave it out")
    rerouted = RerouteIn(pin=body.pin, exclude=body.exclude)
    errors = [*room.checks.check_constraints(rerouted, "")] if body.wanted is RepairKind.REROUTE else []
    if errors:
        raise invalid(errors)


def _parameters(job: dict[str, Any], body: RepairIn) -> dict[str, Any]:
    """The workflow's, by which it acts only on the job as it is now."""
    if body.wanted is RepairKind.RECOVER:
        return {"run_id": job["run_id"]}
    told: dict[str, Any] = {"job_id": job["id"], "max_attempts": job["attempts"]}
    if job["state"] in TERMINAL:
        told["finished_at"] = rfc3339(job["finished_at"])
    if body.wanted is RepairKind.REROUTE:
        told |= {name: value for name, value in (("pin", body.pin), ("exclude", body.exclude)) if value}
    return told
