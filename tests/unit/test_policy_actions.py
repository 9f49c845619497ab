"""What actions decide about a job, what they demand of its way, and how it is told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from pipelines.policies.problems import InvalidPolicy
from pipelines.policies.rules import read_document
from synthralos.domain.findings import Decision, Finding, verdict_of
from synthralos.domain.overlays import NO_DEMANDS, Overlay, Priority
from synthralos.domain.policies import PolicySet, Ruling
from tests.fakes.stage_jobs import a_job

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
TENANT = {"organization": "acme", "workspace": "main"}


def policy(*then: dict[str, Any], when: dict[str, Any] | None = None, **more: Any) -> PolicySet:
    """A set of one rule that matches all jobs unless it says which."""
    rule = {"id": "one", "then": list(then), **({} if when is None else {"when": when})}
    return PolicySet.from_json({"id": "set", "name": "ours", "version": 7, "rules": [rule], **more})


def decide(*sets: PolicySet, **facts: Any) -> Ruling:
    return CompiledPolicies(sets).decide(Facts(NOW, values={**TENANT, **facts}))


def regions(*names: str) -> dict[str, Any]:
    return {"action": "require_region", "regions": list(names)}


def problems(*then: dict[str, Any]) -> list[str]:
    """The paths of what is wrong with the actions of a rule."""
    with pytest.raises(InvalidPolicy) as caught:
        read_document({"name": "x", "rules": [{"id": "a", "then": list(then)}]})
    assert all(problem.remedy for problem in caught.value.problems)
    return [problem.path for problem in caught.value.problems]


def test_a_job_without_a_schema_is_denied_where_one_is_required_and_the_demand_stays_with_it() -> None:
    wants = policy({"action": "require_schema", "reason": "answers of this team are read by programs"})
    without = decide(wants, response_format="json_object")
    assert (without.decision, "are read by programs" in without.reason) == (Decision.DENY, True)
    within = decide(wants, response_format="json_schema", output_schema="invoice")
    assert (within.decision, within.overlay) == (Decision.ALLOW, Overlay(output_schema=True))
    assert Ruling.from_json(within.to_json()) == within


def test_who_repairs_an_answer_is_said_by_the_set_that_comes_first() -> None:
    first = policy({"action": "repair_output", "model": "cheapest"}, priority=2)
    second = policy({"action": "repair_output", "model": "a/b"}, priority=1)
    ruling = decide(second, first)
    assert (ruling.decision, ruling.overlay.repair_model) == (Decision.ALLOW, "cheapest")
    assert Ruling.from_json(ruling.to_json()) == ruling


@pytest.mark.parametrize("model", [None, "", 7, ["cheapest"], "x" * 201])
def test_a_repair_by_nobody_is_refused(model: object) -> None:
    assert problems({"action": "repair_output", "model": model}) == ["rules[0].then[0].model"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, None),
        ({"type": "json_object"}, None),
        ({"type": "json_schema", "json_schema": {"name": "bare"}}, None),
        ({"type": "json_schema", "json_schema": {"name": "invoice", "schema": {"type": "object"}}}, "invoice"),
    ],
)
def test_the_schema_of_a_job_is_that_of_its_response_format(
    wanted: dict[str, Any] | None, expected: str | None
) -> None:
    job = a_job()
    job.request.body["response_format"] = wanted
    assert Facts(NOW, Source(job))["output_schema"] == expected


@pytest.mark.parametrize(("given", "expected"), [("a, b,,", ["a", "b"]), (["a", 1], ["a"]), (7, []), (None, [])])
def test_tags_are_a_text_with_commas(given: Any, expected: list[str]) -> None:
    job = a_job()
    job.metadata = {"tags": given}
    assert Facts(NOW, Source(job))["tags"] == expected


def test_a_priority_travels_and_the_narrower_scope_says_which() -> None:
    wide, narrow = policy({"action": "set_priority", "priority": "high"}), {"action": "set_priority", "priority": "low"}
    assert decide(wide).overlay.priority is Priority.HIGH
    assert decide(wide, policy(narrow, organization="acme")).overlay.priority is Priority.LOW
    assert Overlay.from_json(decide(wide).overlay.to_json()).priority is Priority.HIGH


def test_failure_and_error_of_a_guard_are_two_things() -> None:
    both = policy(
        {"action": "on_guard_failure", "guards": ["abuse"], "decision": "defer", "seconds": 60},
        {"action": "on_guard_error", "decision": "deny", "reason": "nobody looked"},
    )
    assert decide(both, guards_failed=[], guards_errored=[]).decision is Decision.ALLOW
    assert decide(both, guards_failed=["private_data"], guards_errored=[]).decision is Decision.ALLOW
    failed = decide(both, guards_failed=["abuse"], guards_errored=[])
    assert (failed.decision, failed.defer_seconds) == (Decision.DEFER, 60.0)
    errored = decide(both, guards_failed=["abuse"], guards_errored=["abuse_patterns"])
    assert (errored.decision, "nobody looked" in errored.reason) == (Decision.DENY, True)


def test_what_guards_found_says_which_of_the_two_it_was() -> None:
    flagged = Finding("abuse", Decision.FLAG, "odd", signals={"score": 0.9})
    broken = Finding("private_data", Decision.FLAG, "a bug", signals={"broken": True})
    facts = Facts(NOW, Source(a_job(), verdict_of([flagged, broken])))
    assert (facts["guards_failed"], facts["guards_errored"]) == (["abuse"], ["private_data"])


@pytest.mark.parametrize(
    ("action", "path"),
    [
        ({"action": "on_guard_error"}, "decision"),
        ({"action": "on_guard_error", "decision": "allow"}, "decision"),
        ({"action": "on_guard_failure", "decision": "defer"}, "seconds"),
        ({"action": "defer", "seconds": 5, "reason": 7}, "reason"),
        ({"action": "defer", "seconds": float("nan")}, "seconds"),
        ({"action": "on_guard_failure", "decision": "deny", "seconds": 3}, "seconds"),
        ({"action": "on_guard_failure", "decision": "deny", "guards": []}, "guards"),
        ({"action": "on_guard_failure", "decision": "deny", "colour": 3}, "colour"),
        ({"action": "set_priority", "priority": "urgent"}, "priority"),
        ({"action": "set_priority", "priority": ["high"]}, "priority"),
        ({"action": "require_schema", "reason": ""}, "reason"),
        ({"action": "set_tier", "tier": ["economy"]}, "tier"),
        ({"action": "cap_cost", "usd": "1e99"}, "usd"),
    ],
)
def test_a_mistake_in_an_action_is_told_by_its_path(action: dict[str, Any], path: str) -> None:
    assert problems(action) == [f"rules[0].then[0].{path}"]


def test_demands_that_leave_nothing_deny_and_both_rules_are_named() -> None:
    one, two = policy(regions("eu"), name="first"), policy(regions("us"), name="second")
    ruling = decide(one, two)
    assert ruling.decision is Decision.DENY
    assert all(told in ruling.reason for told in ("first version 7, rule one", "second version 7, rule one"))
    assert [reason.decision for reason in ruling.reasons] == [Decision.ALLOW, Decision.DENY]
    assert decide(one).decision is Decision.ALLOW


def test_a_shadow_set_that_contradicts_itself_would_deny() -> None:
    rules = [{"id": name, "then": [regions(name)]} for name in ("eu", "us")]
    shadow = PolicySet.from_json({"id": "s", "name": "x", "version": 1, "rules": rules, "shadow": True})
    ruling = decide(shadow)
    assert (ruling.decision, ruling.overlay) == (Decision.ALLOW, NO_DEMANDS)
    assert [each.decision for each in ruling.shadows] == [Decision.DENY]


@pytest.mark.parametrize("action", [{"action": "deny"}, {"action": "flag"}, {"action": "defer", "seconds": 9}])
def test_what_is_told_names_the_set_its_version_the_rule_and_the_condition_that_decided(action: dict[str, Any]) -> None:
    branches = [{"field": "model", "op": "eq", "value": "b"}, {"field": "metadata.team", "op": "in", "value": ["core"]}]
    when = {"all": [{"field": "messages", "op": "gt", "value": 3}, {"any": branches}]}
    facts = {"model": "a", "messages": 4, "metadata": {"team": "core"}}
    ours = decide(policy(action, when=when, organization="acme"), **facts).reason
    assert all(told in ours for told in ("set ours version 7, rule one", "messages gt 3", 'metadata.team in ["core"]'))
    assert "model" not in ours
    everybody = decide(policy(action, when=when), **facts).reason
    assert all(told in everybody for told in ("set ours version 7, rule one", "messages gt", "metadata.team in"))
    assert "core" not in everybody


def test_the_condition_that_is_told_is_bounded_and_repeats_nothing_of_the_job() -> None:
    when = {"any": [{"all": [{"field": "prompt", "op": "contains", "value": str(n)} for n in range(100)]},
                    {"field": "prompt", "op": "matches", "value": "sec"}]}  # fmt: skip
    [reason] = decide(policy({"action": "deny"}, when=when, organization="acme"), prompt="secret").reasons
    assert "secret" not in reason.told
    assert len(reason.condition) <= 300
