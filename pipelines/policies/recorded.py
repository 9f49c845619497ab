"""The facts of a job that is on record: what rules would have seen of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from synthralos.domain.findings import PASSED, Verdict, verdict_of
from synthralos.domain.jobs import UNCONSTRAINED, Claim, Constraints, Job, Request, Tenant
from synthralos.domain.policies import POLICIES
from synthralos.domain.states import Lane, Stage

_NOBODY = Claim("", 0)


def recorded(row: Mapping[str, Any], now: datetime) -> Facts:
    """The facts of a stored job, by its columns; its costs are not known any more."""
    job = recorded_job(row)
    return Facts(now, Source(job, guards_alone(job.verdict)))


def recorded_job(row: Mapping[str, Any]) -> Job:
    """A stored job, by its columns; nobody claims it."""
    request, verdict = row["request"], row["verdict"]
    return Job(
        id=row["id"],
        tenant=Tenant(row["organization"], row["workspace"], row["user_id"], row["account_plan"]),
        stage=Stage(row["stage"]),
        lane=Lane(row["lane"]),
        trace_id=row["trace_id"],
        request=Request(row["model"], request["body"], request["provider_options"]),
        constraints=Constraints.from_json(row["constraints"]) if row["constraints"] else UNCONSTRAINED,
        claim=_NOBODY,
        created_at=row["created_at"],
        verdict=None if verdict is None else Verdict.from_json(verdict),
        run_id=row["run_id"],
        metadata=row["metadata"] or {},
    )


def guards_alone(verdict: Verdict | None) -> Verdict:
    """The verdict as policies saw it: without what they said and demanded at the time."""
    if verdict is None or not verdict.findings:
        return PASSED
    return verdict_of([finding for finding in verdict.findings if finding.guard != POLICIES])
