"""The facts of a job that is on record: what rules would have seen of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from synthralos.domain.findings import Verdict, verdict_of
from synthralos.domain.jobs import Claim, Constraints, Job, Request, Tenant
from synthralos.domain.policies import POLICIES
from synthralos.domain.states import Lane, Stage


def recorded(row: Mapping[str, Any], now: datetime) -> Facts:
    """The facts of a stored job, by its columns; its costs are not known any more."""
    request, verdict = row["request"], row["verdict"]
    job = Job(
        id=row["id"],
        tenant=Tenant(row["organization"], row["workspace"], row["user_id"], row["account_plan"]),
        stage=Stage(row["stage"]),
        lane=Lane(row["lane"]),
        trace_id=row["trace_id"],
        request=Request(row["model"], request["body"], request["provider_options"]),
        constraints=Constraints.from_json(row["constraints"] or {}),
        claim=Claim("", 0),
        created_at=row["created_at"],
        run_id=row["run_id"],
        metadata=row["metadata"] or {},
    )
    return Facts(now, Source(job, None if verdict is None else _of_guards(Verdict.from_json(verdict))))


def _of_guards(verdict: Verdict) -> Verdict:
    """The verdict as policies saw it, before they added theirs."""
    return verdict_of([finding for finding in verdict.findings if finding.guard != POLICIES])
