"""Policies: what it costs to ask the rules about a job, whose facts are read for the first time."""

import time
from datetime import UTC, datetime
from typing import Any

from benchmarks.report import figure, say
from benchmarks.workload import job
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import UNCONSTRAINED, Claim, Job, Request, Tenant
from synthralos.domain.policies import PolicySet
from synthralos.domain.states import Lane, Stage

JOBS, JOBS_SMOKE = 2_000, 50
NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)


def main(smoke: bool) -> None:
    """None of the rules matches, so that all of them are asked to their last condition but one."""
    count = JOBS_SMOKE if smoke else JOBS
    figure("policy_us_50", _seconds(policies(50), count) * 1e6, "us")
    figure("policy_ms_1000", _seconds(policies(1_000), max(count // 20, 10)) * 1e3, "ms")
    figure("cel_ms_50", _seconds(policies(50, cel=True), max(count // 10, 10)) * 1e3, "ms")


def policies(count: int, *, cel: bool = False) -> CompiledPolicies:
    """So many rules that match nothing."""
    rules = [_rule(number, cel=cel) for number in range(count)]
    return CompiledPolicies([PolicySet("0199", "bench", 1, tuple(rules))])


def _rule(number: int, *, cel: bool) -> dict[str, Any]:
    """As people write them: the tenant, the model, how long the prompt is, what the metadata say."""
    conditions: list[dict[str, Any]] = [
        {"field": "organization", "op": "in", "value": ["bench", "acme", f"other-{number}"]},
        {"field": "prompt_tokens", "op": "lt", "value": 100_000 + number},
        {"field": "metadata.source", "op": "eq", "value": f"source-{number}"},
    ]
    if cel:
        conditions[2] = {"cel": f'prompt_tokens > {90_000 + number} && organization == "bench"'}
    return {"id": f"rule-{number}", "when": {"all": conditions}, "then": [{"action": "deny", "reason": "no"}]}


def _seconds(policies: CompiledPolicies, count: int) -> float:
    """CPU for one job, the best of five rounds."""
    jobs = [_job(number) for number in range(count)]
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for each in jobs:
            policies.decide(Facts(NOW, Source(each)))
        best = min(best, (time.process_time() - began) / count)
    say(f"  {count:,} jobs, {best * 1e6:,.1f} us each")
    return best


def _job(number: int) -> Job:
    sent = job(number)
    return Job(
        id=new_id(),
        tenant=Tenant("bench"),
        stage=Stage.GUARD,
        lane=Lane.BULK,
        trace_id="0" * 32,
        request=Request("auto", {"messages": [{"role": "user", "content": sent["prompt"]}]}),
        constraints=UNCONSTRAINED,
        claim=Claim("worker", 1),
        created_at=NOW,
        metadata=sent["metadata"],
    )
