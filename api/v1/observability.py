"""What finished jobs come to (metrics, errors), and what open ones demand, over HTTP."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.http.answers import answer
from api.http.auth import Caller, require_everything
from api.http.openapi import documented
from api.http.problems import forbidden, invalid_field
from api.room import Room, admit
from api.v1.observability_views import (
    Demand,
    DemandQuery,
    ErrorGroups,
    ErrorsQuery,
    Metrics,
    MetricsParameters,
    latencies,
)
from pipelines.analyze.trace import plain, rfc3339
from pipelines.intake.parse import utc_now
from synthralos.domain.failures import MEANINGS, FailureClass
from synthralos.domain.metrics import MetricsQuery, Observed, ObservedStages, TooMuch
from synthralos.domain.observing import Sums
from synthralos.domain.permissions import Permission, Role
from synthralos.domain.scope import Scope
from synthralos.domain.stage_sums import StageSums
from synthralos.domain.states import Lane, Stage
from synthralos.store.read.demand import MOST, WINDOWS
from synthralos.store.read.demand import Demand as DemandNow
from synthralos.store.read.demand import Queue as QueueNow
from synthralos.store.read.observed import ErrorGroup, ObservedJobs

router = APIRouter(prefix="/api/v1/observability", tags=["observability"])

SAMPLES = 5


@router.get("/metrics", **documented(Metrics, "What finished jobs come to", validated=True))
async def metrics(request: Request, query: Annotated[MetricsParameters, Query()]) -> Response:
    """Sum up what finished: counts, rates, percentiles, tokens and cost, by group; from sums, however long ago.

    By `stage` it is what jobs did there: visits, failures and time.
    """
    room, caller = await _admitted(request)
    question = query.question(utc_now())
    if caller.key.role is Role.VIEWER and "deployment" in {*question.groups, *question.where}:
        raise forbidden("A key with the role viewer does not see deployments: ask by something else.")
    try:
        found, groups = await room.searching.ask(lambda: _summed(room.searching.jobs, question, caller.scope))
    except TooMuch as error:
        raise invalid_field("query", str(error), "see docs/observability.md for the bounds") from None
    return answer(
        {
            "since": rfc3339(question.since),
            "until": rfc3339(question.until),
            "groups": groups[: query.limit],
            "truncated": len(groups) > query.limit,
            "complete": found.complete,
            "digested_until": rfc3339(found.digested_until),
        }
    )


@router.get("/errors", **documented(ErrorGroups, "What went wrong, grouped", validated=True))
async def errors(request: Request, query: Annotated[ErrorsQuery, Query()]) -> Response:
    """Group the failures of finished jobs and of their calls by class, deployment and message; the most first.

    A key with the role `viewer` sees classes alone.
    """
    room, caller = await _admitted(request)
    since, until = query.range(utc_now())
    where = query.where()
    try:
        groups, complete = await room.searching.ask(
            lambda: room.searching.errors.groups(since, until, caller.scope, where, SAMPLES)
        )
    except TooMuch as error:
        raise invalid_field("query", str(error), "see docs/observability.md for the bounds") from None
    if caller.key.role is Role.VIEWER:
        groups = _by_class(groups)
    shown = [_error(group) for group in groups[: query.limit]]
    page = {"since": rfc3339(since), "until": rfc3339(until), "errors": shown}
    return answer({**page, "truncated": len(groups) > len(shown), "complete": complete})


@router.get("/demand", **documented(Demand, "The work that is open", validated=True))
async def demand(request: Request, query: Annotated[DemandQuery, Query()]) -> Response:
    """Tell how much work is open by stage, lane and deadline, for an autoscaler; at most a second old.

    The key must be one of the whole installation. Each figure costs the same however much there is.
    """
    room, caller = await admit(request, Permission.READ_METRICS)
    require_everything(caller, "see the demand of all tenants")
    found = await room.searching.demand_now()
    return answer(_demand(found, query))


async def _admitted(request: Request) -> tuple[Room, Caller]:
    """The room and the caller, whose key is of a workspace at least: sums are not kept by user."""
    room, caller = await admit(request, Permission.READ_METRICS)
    if caller.scope.user is not None:
        raise forbidden("Sums are kept by workspace: this needs a key that is bound to no user.")
    return room, caller


def _summed(
    jobs: ObservedJobs, question: MetricsQuery, scope: Scope
) -> tuple[Observed | ObservedStages, list[dict[str, Any]]]:
    """What was found, and its groups in order."""
    if question.of_stages:
        stages = jobs.stages(question, scope)
        return stages, [_stage(question.groups, *each) for each in sorted(stages.groups.items(), key=_by_values)]
    found = jobs.sums(question, scope)
    seconds = (question.until - question.since).total_seconds()
    return found, [_group(question.groups, *each, seconds) for each in sorted(found.groups.items(), key=_by_values)]


def _by_values(group: tuple[tuple[str, ...], object]) -> tuple[str, ...]:
    return group[0]


def _stage(names: Sequence[str], values: tuple[str, ...], sums: StageSums) -> dict[str, Any]:
    return {
        "group": dict(zip(names, values, strict=True)),
        "jobs": sums.jobs,
        "visits": sums.visits,
        "failed_visits": sums.failed,
        "total_seconds": sums.total_seconds,
        "visit_seconds": latencies(sums.seconds),
    }


def _group(names: Sequence[str], values: tuple[str, ...], sums: Sums, seconds: float) -> dict[str, Any]:
    return {
        "group": dict(zip(names, values, strict=True)),
        "jobs": sums.jobs,
        "jobs_per_second": sums.jobs / seconds,
        "calls": sums.calls,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cost_usd": plain(sums.cost),
        "unknown_cost_jobs": sums.unknown_cost_jobs,
        "duration_seconds": latencies(sums.seconds),
        "wait_seconds": latencies(sums.waits),
    }


def _by_class(groups: Sequence[ErrorGroup]) -> list[ErrorGroup]:
    """Groups of classes alone, in the house's words."""
    found: dict[str, ErrorGroup] = {}
    for each in groups:
        message = MEANINGS[FailureClass(each.failure_class)]
        whole = found.setdefault(
            each.failure_class, ErrorGroup(each.failure_class, "", message, 0, each.first_at, each.last_at)
        )
        whole.count += each.count
        whole.first_at, whole.last_at = min(whole.first_at, each.first_at), max(whole.last_at, each.last_at)
        for hour, count in each.hours.items():
            whole.hours[hour] = whole.hours.get(hour, 0) + count
        whole.jobs = [*whole.jobs, *(job_id for job_id in each.jobs if job_id not in whole.jobs)][-SAMPLES:]
    return sorted(found.values(), key=lambda group: -group.count)


def _error(group: ErrorGroup) -> dict[str, Any]:
    return {
        "class": group.failure_class,
        "deployment": group.deployment or None,
        "message": group.message,
        "count": group.count,
        "first_seen_at": rfc3339(group.first_at),
        "last_seen_at": rfc3339(group.last_at),
        "trend": [{"since": rfc3339(hour), "count": count} for hour, count in sorted(group.hours.items())],
        "jobs": group.jobs,
    }


def _demand(found: DemandNow, query: DemandQuery) -> dict[str, Any]:
    queues = {key: queue for key, queue in found.queues.items() if query.admits(*key)}
    return {
        "at": rfc3339(found.at),
        "queued": sum(queue.queued for queue in queues.values()),
        "active": sum(queue.active for queue in queues.values()),
        "parked": found.parked,
        "queues": [_queue(key, queue) for key, queue in sorted(queues.items())],
        "most_counted": MOST,
    }


def _queue(key: tuple[Stage, Lane], queue: QueueNow) -> dict[str, Any]:
    due = [{"within_seconds": within, "jobs": jobs} for within, jobs in zip(WINDOWS, queue.due, strict=True)]
    return {
        "stage": key[0],
        "lane": key[1],
        "queued": queue.queued,
        "active": queue.active,
        "oldest_seconds": queue.oldest_seconds,
        "due": due,
    }
