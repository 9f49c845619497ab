"""Policies: what it costs to ask the rules about a job, whose facts are read for the first time."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from benchmarks.report import figure, say
from benchmarks.workload import job
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from pipelines.policies.patterns import searcher
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import UNCONSTRAINED, Claim, Job, Request, Tenant
from synthralos.domain.policies import PolicySet
from synthralos.domain.states import Lane, Stage

JOBS, JOBS_SMOKE = 2_000, 50
NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)


def main(smoke: bool) -> None:
    """None of the rules matches. `tried`: nothing in them can be looked up, so that each one is asked to its end."""
    count = JOBS_SMOKE if smoke else JOBS
    few = max(count // 20, 10)
    figure("policy_us_50", _seconds(policies(50, _rule), count) * 1e6, "us")
    figure("policy_ms_1000", _seconds(policies(1_000, _rule), few) * 1e3, "ms")
    figure("policy_tried_us_50", _seconds(policies(50, _tried_rule), count) * 1e6, "us")
    figure("policy_tried_ms_1000", _seconds(policies(1_000, _tried_rule), few) * 1e3, "ms")
    figure("policy_matching_us_50", _seconds(policies(50, _matching_rule), count) * 1e6, "us")
    figure("cel_ms_50", _seconds(policies(50, _cel_rule), max(count // 10, 10)) * 1e3, "ms")
    figure("cel_tried_ms_50", _seconds(policies(50, _tried_cel_rule), max(count // 10, 10)) * 1e3, "ms")
    figure("pattern_ms_worst", max(map(_search_seconds, PATTERNS)) * 1e3, "ms")


def policies(count: int, rule: Callable[[int], dict[str, Any]] | None = None, *, cel: bool = False) -> CompiledPolicies:
    """So many rules; unless it is said which, such that match nothing."""
    make = rule or (_cel_rule if cel else _rule)
    rules = [make(number) for number in range(count)]
    return CompiledPolicies([PolicySet("0199", "bench", 1, tuple(rules))])


def _denies(number: int, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"rule-{number}", "when": {"all": [*conditions]}, "then": [{"action": "deny", "reason": "no"}]}


def _tenants(number: int) -> dict[str, Any]:
    return {"field": "organization", "op": "in", "value": ["bench", "acme", f"other-{number}"]}


def _rule(number: int) -> dict[str, Any]:
    """As people write them: the tenant, the model, how long the prompt is, what the metadata say."""
    long = {"field": "prompt_tokens", "op": "lt", "value": 100_000 + number}
    source = {"field": "metadata.source", "op": "eq", "value": f"source-{number}"}
    return _denies(number, _tenants(number), long, source)


def _tried_rule(number: int) -> dict[str, Any]:
    """As above, where every rule is for this tenant, and says what it is not for."""
    source = {"field": "metadata.source", "op": "not_in", "value": [f"source-{number}", "other"]}
    return _denies(
        number,
        {"not": {"field": "organization", "op": "eq", "value": f"other-{number}"}},
        {"field": "prompt_tokens", "op": "gt", "value": 100_000 + number},
        source,
    )


def _matching_rule(number: int) -> dict[str, Any]:
    """Each matches, and demands something."""
    tokens = {"field": "prompt_tokens", "op": "lt", "value": 100_000 + number}
    return {"id": f"rule-{number}", "when": tokens, "then": [{"action": "cap_cost", "usd": f"0.{number + 1:03}"}]}


def _cel_rule(number: int) -> dict[str, Any]:
    return _denies(number, _tenants(number), _cel(number))


def _tried_cel_rule(number: int) -> dict[str, Any]:
    return {**_denies(number), "when": _cel(number)}


def _cel(number: int) -> dict[str, Any]:
    return {"cel": f'prompt_tokens > {90_000 + number} && organization == "bench"'}


PATTERNS = (
    "^gpt-[0-9]+$", "(a|b)*a(a|b){12}c", "(a|b)*a(a|b){60}c", "(a|b)*a(a|b){490}c", "a.{0,90}b.{0,20}z",
    "(?i)(x.{0,20}y|a.{0,20}b.{0,20}q)",
)  # fmt: skip
"""Those whose automata have the most states for their length."""


def _search_seconds(pattern: str) -> float:
    """CPU for one search of a text of a million characters, of the worst kind known."""
    text, search = "".join(random.Random(1).choices("ab", k=1_000_000)), searcher(pattern)
    began = time.process_time()
    search(text)
    return time.process_time() - began


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
