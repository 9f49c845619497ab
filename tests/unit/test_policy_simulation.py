"""Simulations without a store: what is compared, what is left out, and that they rest."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import stated
from pipelines.policies.simulate import RESTS_EVERY, SAMPLES, Simulation, sets_with
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision, Finding, Verdict, verdict_of
from synthralos.domain.jobs import Job
from synthralos.domain.money import Costs
from synthralos.domain.overlays import Overlay
from synthralos.domain.plans import RoutingPlan, Step
from synthralos.domain.policies import PolicySet

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
DENY = {"action": "deny", "reason": "no"}
FLAG = {"action": "flag", "reason": "seen"}


def policy(*then: dict[str, Any], when: dict[str, Any] | None = None, set_id: str = "draft", **more: Any) -> PolicySet:
    rule = {"id": "one", "then": list(then)} | ({} if when is None else {"when": when})
    return PolicySet.from_json({"id": set_id, "name": "ours", "version": 1, "rules": [rule], **more})


def row(number: int = 0, verdict: Verdict | None = None, **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": "hello"}]}
    return {
        "id": f"job-{number}", "organization": "acme", "workspace": "main", "user_id": None, "account_plan": "pro",
        "stage": "analyze", "lane": "bulk", "trace_id": "t", "run_id": None, "model": "auto",
        "request": {"body": body, "provider_options": {}}, "constraints": None, "metadata": None,
        "verdict": None if verdict is None else verdict.to_json(), "created_at": NOW, **more,
    }  # fmt: skip


def plan(job: Job) -> RoutingPlan | Failure:
    """The cheap one, unless it is forbidden; its price is known."""
    if "p/cheap" in job.overlay.forbidden_models:
        if "p/dear" in job.overlay.forbidden_models:
            return Failure(FailureClass.INVALID_REQUEST, "nothing is left")
        return RoutingPlan("cheapest", (Step("p/dear@eu", "it fits", None),))
    return RoutingPlan("cheapest", (Step("p/cheap@eu", "it fits", Decimal("0.1")),))


def simulated(
    draft: PolicySet, *rows: dict[str, Any], in_force: tuple[PolicySet, ...] = (), rest: Callable[[], None] = int
) -> dict[str, Any]:
    """The report of these jobs."""
    costs = Costs(Decimal("0.1"), Decimal("0.2"))
    simulation = Simulation(
        sets_with(in_force, draft, NOW), lambda jobs: list(map(plan, jobs)), lambda job: costs, rest
    )
    simulation.take(rows or [row()])
    return simulation.report()


def decided(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["before"], each["after"]) for each in report["decisions"]]


def forbid(*models: str) -> dict[str, Any]:
    return {"action": "forbid_models", "models": list(models)}


def test_what_policies_said_at_the_time_is_left_out_and_what_guards_found_is_not() -> None:
    guard = Finding("abuse", Decision.FLAG, "spam", signals={"score": 0.7})
    ruled = Finding("policies", Decision.DENY, "no", signals={"rule": "old"})
    recorded = verdict_of([guard, ruled]).demanding(Overlay(forbidden_models=frozenset({"p/cheap"})))
    spam = {"field": "abuse_score", "op": "gt", "value": 0.5}
    report = simulated(policy(FLAG, when=spam), row(0, recorded))
    assert (decided(report), report["moves"]) == ([("allow", "flag")], [])


@pytest.mark.parametrize("decision", [Decision.DENY, Decision.DEFER])
def test_jobs_that_guards_kept_are_no_matter_of_policies(decision: Decision) -> None:
    report = simulated(policy(DENY), row(0, verdict_of([Finding("abuse", decision, "spam")])))
    assert (report["jobs"], report["stopped_by_guards"], report["decisions"]) == (1, 1, [])


def test_a_draft_counts_as_enforced_and_takes_the_place_of_its_set() -> None:
    asleep = {"enabled": False, "shadow": True, "effective_from": "2030-01-01T00:00:00Z"}
    assert decided(simulated(policy(DENY, **asleep))) == [("allow", "deny")]
    stored = policy(DENY, set_id="stored")
    assert decided(simulated(policy(FLAG, set_id="stored"), in_force=(stored,))) == [("deny", "flag")]
    assert decided(simulated(policy(FLAG), in_force=(stored,))) == [("deny", "deny")]
    over = policy(DENY, set_id="over", effective_until="2026-01-01T00:00:00Z")
    assert decided(simulated(policy(FLAG), in_force=(over,))) == [("allow", "flag")]


def test_where_jobs_go_and_what_that_costs_is_compared() -> None:
    report = simulated(policy(forbid("p/cheap")), row(0), row(1))
    assert report["moves"] == [
        {"before": "p/cheap@eu", "after": "p/dear@eu", "jobs": 2, "sample_job_ids": ["job-0", "job-1"]}
    ]
    assert report["cost"] == {"before": {"usd": "0.2", "unknown": 0}, "after": {"usd": "0", "unknown": 2}}
    assert (report["changed"], report["stopped"]) == (2, 0)
    nowhere = simulated(policy(forbid("p/cheap", "p/dear")))
    assert [(each["before"], each["after"]) for each in nowhere["moves"]] == [("p/cheap@eu", None)]
    assert (nowhere["stopped"], nowhere["stopped_percent"]) == (1, 100.0)


def test_demands_that_contradict_one_another_and_guards_that_could_not_look_deny() -> None:
    regions = [{"action": "require_region", "regions": [name]} for name in ("eu", "us")]
    stored = policy(regions[0], set_id="stored")
    assert decided(simulated(policy(regions[1]), in_force=(stored,))) == [("allow", "deny")]
    broken = verdict_of([Finding("abuse", Decision.FLAG, "away", signals={"error": "away"})])
    wants = policy({"action": "require_guard", "guards": ["abuse"]})
    assert decided(simulated(wants, row(0, broken), row(1))) == [("allow", "allow"), ("allow", "deny")]


def test_times_are_those_at_which_the_jobs_came() -> None:
    morning = policy(DENY, when={"time": {"from": "06:00", "until": "12:00"}})
    report = simulated(morning, row(0), row(1, created_at=NOW.replace(hour=7)))
    assert decided(report) == [("allow", "allow"), ("allow", "deny")]
    assert (report["newest_at"], report["oldest_at"]) == (NOW, NOW.replace(hour=7))


def test_samples_are_bounded_and_others_may_go_on_in_between() -> None:
    rests: list[int] = []
    report = simulated(policy(DENY), *map(row, range(50)), rest=lambda: rests.append(1))
    [change] = report["decisions"]
    assert (change["jobs"], len(change["sample_job_ids"])) == (50, SAMPLES)
    assert report["rules"] == [{"rule": "one", "errors": 0, "jobs": 50, "sample_job_ids": change["sample_job_ids"]}]
    assert len(rests) == -(-50 // RESTS_EVERY)


PREFER = {"action": "prefer", "models": ["p/dear"]}
CHEAP = {"action": "prefer", "models": ["p/cheap"]}


@pytest.mark.parametrize("then", [(FLAG,), (DENY,), (forbid("p/cheap"),), (PREFER,), ()], ids=str)
@pytest.mark.parametrize("stored", [(FLAG,), (DENY,), (forbid("p/dear"),), (CHEAP, FLAG)], ids=str)
@pytest.mark.parametrize("set_id", ["draft", "stored"])
@pytest.mark.parametrize("narrow", [False, True])
def test_what_is_said_to_be_decided_is_what_the_engine_decides(
    then: tuple[dict[str, Any], ...], stored: tuple[dict[str, Any], ...], set_id: str, narrow: bool
) -> None:
    never = None if then else {"field": "lane", "op": "eq", "value": "interactive"}
    draft = policy(*(then or (DENY,)), when=never, set_id=set_id, organization="acme" if narrow else None)
    sets = sets_with([policy(*stored, set_id="stored")], draft, NOW)
    facts = stated({"organization": "acme", "workspace": "main", "lane": "bulk"}, NOW)
    costs = Costs(None, None)
    found = Simulation(sets, lambda jobs: list(map(plan, jobs)), lambda job: costs).rulings(facts)
    for ruling, policies in zip(found, (sets.before, sets.after), strict=True):
        expected = CompiledPolicies(policies).decide(facts)
        assert (ruling.decision, ruling.overlay) == (expected.decision, expected.overlay)
        assert {(each.set_id, each.rule) for each in ruling.reasons} == {
            (each.set_id, each.rule) for each in expected.reasons
        }
