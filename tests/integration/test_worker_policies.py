"""Policies on real workers: what they stop, what they change of a job's way, and what is on record of it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.recorded import recorded
from synthralos.domain.findings import Decision
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage, State
from synthralos.store.admin.policy_matches import PolicyMatches
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

EMAIL = "jo@example.com"


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    def said(asked: Asked) -> Answer:
        message = {"role": "assistant", "content": "Paris"}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        return Answer(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    with scripted_server() as server:
        server.script = said
        yield server


def policy(*then: dict[str, Any], when: dict[str, Any] | None = None, **more: Any) -> PolicySet:
    """A set of one rule, for all jobs unless it says for which."""
    rule = {"id": "one", "then": list(then), **({} if when is None else {"when": when})}
    return PolicySet.from_json({"id": "0199", "name": "ours", "version": 3, "rules": [rule], **more})


def run(
    place: WorkerPlace, provider: ScriptedServer, *policies: PolicySet, job: NewJob | None = None, **more: Any
) -> dict[str, Any]:
    """The row of a job that ran under the policies; `a` is the cheapest deployment, `c` the dearest."""
    place.start(place.core(deployments_at(f"{provider.url}/v1", "a", "b", "c"), policies=policies, **more))
    return place.run(job or new_job("Hello", metadata={"team": "core"}))


def deployment_of(place: WorkerPlace, job: dict[str, Any]) -> str:
    [attempt] = place.store.attempts(job["id"])
    return str(attempt["deployment"])


def test_what_a_policy_denies_costs_nothing_and_says_why(place: WorkerPlace, provider: ScriptedServer) -> None:
    when = {"field": "metadata.team", "op": "eq", "value": "core"}
    job = run(place, provider, policy({"action": "deny", "reason": "not by this team"}, when=when))
    assert (job["state"], provider.asked) == (State.DENIED, [])
    [finding] = job["verdict"]["findings"]
    assert finding["guard"] == "policies"
    assert all(told in finding["reason"] for told in ("not by this team", "ours", "3", "one", "metadata.team eq"))
    assert {"set": "0199", "version": 3, "rule": "one"}.items() <= finding["signals"].items()


def test_a_policy_that_does_not_match_leaves_no_trace(place: WorkerPlace, provider: ScriptedServer) -> None:
    when = {"field": "metadata.team", "op": "eq", "value": "sales"}
    job = run(place, provider, policy({"action": "deny"}, when=when))
    assert (job["state"], job["verdict"]) == (State.SUCCEEDED, None)


def test_models_are_forbidden_and_preferred(place: WorkerPlace, provider: ScriptedServer) -> None:
    demands = ({"action": "forbid_models", "models": ["fake/a"]}, {"action": "prefer", "models": ["fake/c"]})
    job = run(place, provider, policy(*demands))
    assert deployment_of(place, job) == "fake/c@us"
    plan = place.store.view(job["id"])["plan"]
    assert plan["steps"][0]["reason"] == "policies prefer fake/c"
    assert [(e["deployment"], e["reason"]) for e in plan["exclusions"]] == [
        ("fake/a@us", "policies forbid the models fake/a")
    ]


def test_demands_hold_when_the_job_is_routed_anew(place: WorkerPlace, provider: ScriptedServer) -> None:
    """The second worker has no policy any more: what was demanded of this job holds all the same."""
    failing = lambda asked: Answer(400, {"error": {"message": "no", "code": "invalid_value"}})  # noqa: E731
    answering, provider.script = provider.script, failing
    job = run(place, provider, policy({"action": "forbid_models", "models": ["fake/a"]}))
    assert job["state"] == State.FAILED
    provider.script = answering
    place.start(place.core(deployments_at(f"{provider.url}/v1", "a", "b", "c")))
    outcome = place.store.operations.reroute(job["id"], EVERYTHING, "ann", {"strategy": "cheapest"})
    place.ring(Stage.ROUTE, job["id"])
    assert outcome is not None
    assert place.finished(job["id"]) == [State.SUCCEEDED]
    assert [attempt["deployment"] for attempt in place.store.attempts(job["id"])] == ["fake/b@us", "fake/b@us"]


def test_no_region_left_is_a_denial_with_its_reason(place: WorkerPlace, provider: ScriptedServer) -> None:
    job = run(place, provider, policy({"action": "require_region", "regions": ["eu"]}))
    assert (job["state"], job["failure"], provider.asked) == (State.DENIED, None, [])
    finding = job["verdict"]["findings"][-1]
    assert all(told in finding["reason"] for told in ("policies allow the regions eu only", "ours version 3, rule one"))
    assert {"set": "0199", "version": 3, "rule": "one"}.items() <= finding["signals"].items()


def test_policies_that_contradict_one_another_deny(place: WorkerPlace, provider: ScriptedServer) -> None:
    one, two = (policy({"action": "require_region", "regions": [region]}) for region in ("eu", "us"))
    job = run(place, provider, one, two)
    assert (job["state"], provider.asked) == (State.DENIED, [])


@pytest.mark.parametrize(
    "demand",
    [
        {"action": "allow_models", "models": ["nobody/*"]},
        {"action": "cap_cost", "usd": "0.000000001"},
        {"action": "forbid_models", "models": ["fake/*"]},
    ],
)
def test_demands_that_no_deployment_meets_deny_and_name_their_rule(
    place: WorkerPlace, provider: ScriptedServer, demand: dict[str, Any]
) -> None:
    job = run(place, provider, policy(demand))
    assert (job["state"], job["failure"], provider.asked) == (State.DENIED, None, [])
    assert "ours version 3, rule one" in job["verdict"]["findings"][-1]["reason"]


def test_a_job_that_could_not_be_routed_anyway_fails_as_without_policies(
    place: WorkerPlace, provider: ScriptedServer
) -> None:
    allows = policy({"action": "forbid_models", "models": ["other/*"]})
    job = run(place, provider, allows, job=new_job("Hello", constraints=Constraints(region="mars")))
    assert job["state"] == State.FAILED
    assert job["failure"]["class"] == "invalid_request"


def test_what_policies_leave_fails_as_ever_when_it_is_routed_anew(place: WorkerPlace, provider: ScriptedServer) -> None:
    """The one deployment that is left fails; heal then looks for another one and finds none."""
    provider.script = lambda asked: Answer(401, {"error": {"message": "no key"}})
    job = run(place, provider, policy({"action": "allow_models", "models": ["fake/b"]}))
    assert (job["state"], job["failure"]["class"]) == (State.FAILED, "credential")


def test_a_job_without_a_schema_is_denied_where_one_is_required(place: WorkerPlace, provider: ScriptedServer) -> None:
    wants = policy({"action": "require_schema", "reason": "programs read it"})
    job = run(place, provider, wants)
    assert (job["state"], provider.asked) == (State.DENIED, [])
    assert "programs read it" in job["verdict"]["findings"][-1]["reason"]


def test_a_priority_is_on_record_with_the_verdict(place: WorkerPlace, provider: ScriptedServer) -> None:
    job = run(place, provider, policy({"action": "set_priority", "priority": "high"}))
    assert (job["state"], job["verdict"]["overlay"]["priority"]) == (State.SUCCEEDED, "high")


def test_a_trial_and_a_worker_decide_alike_about_demands_that_leave_nothing(
    place: WorkerPlace, provider: ScriptedServer
) -> None:
    sets = [policy({"action": "require_region", "regions": [region]}) for region in ("eu", "us")]
    job = run(place, provider, *sets)
    tried = CompiledPolicies(sets).decide(recorded(place.store.job(job["id"]), datetime.now(UTC)))
    assert (job["state"], tried.decision) == (State.DENIED, Decision.DENY)
    assert tried.reason == job["verdict"]["findings"][-1]["reason"]


def test_a_recorded_job_has_the_facts_that_it_had_before_policies_ruled(
    place: WorkerPlace, provider: ScriptedServer
) -> None:
    job = run(place, provider, policy({"action": "deny"}))
    facts = recorded(place.store.job(job["id"]), datetime.now(UTC))
    assert job["state"] == State.DENIED
    assert (facts["guards_failed"], facts["verdict"]) == ([], Decision.ALLOW)


def test_a_cost_cap_bounds_what_is_asked_for(place: WorkerPlace, provider: ScriptedServer) -> None:
    run(place, provider, policy({"action": "cap_cost", "usd": "0.002"}), job=new_job("Hello", body={}))
    [asked] = provider.asked
    assert 900 <= asked.json()["max_tokens"] <= 1_000


def test_what_a_policy_wants_replaced_is_not_sent(place: WorkerPlace, provider: ScriptedServer) -> None:
    job = run(place, provider, policy({"action": "redact", "kinds": ["email"]}), job=new_job(f"Write to {EMAIL}"))
    assert job["state"] == State.SUCCEEDED
    assert EMAIL not in provider.asked[0].body.decode()


def test_a_guard_that_is_wanted_and_does_not_look_is_a_denial(place: WorkerPlace, provider: ScriptedServer) -> None:
    wants = policy({"action": "require_guard", "guards": ["abuse"]})
    job = run(place, provider, wants)
    assert (job["state"], provider.asked) == (State.DENIED, [])
    assert "it is off" in job["verdict"]["findings"][-1]["reason"]


def test_a_deferred_job_waits_and_is_judged_again(place: WorkerPlace, provider: ScriptedServer) -> None:
    defers = policy({"action": "defer", "seconds": 3600, "reason": "only at night"})
    place.start(place.core(deployments_at(f"{provider.url}/v1", "a"), policies=(defers,)))
    [job_id] = place.submit(new_job("Hello"))
    place.reaches(job_id, State.PARKED)
    job = place.store.job(job_id)
    assert (job["verdict"]["decision"], job["stage"]) == (Decision.DEFER, Stage.GUARD)
    place.start(place.core(deployments_at(f"{provider.url}/v1", "a")))
    place.wake(job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]


def test_a_shadow_set_changes_nothing_and_is_on_record(place: WorkerPlace, provider: ScriptedServer) -> None:
    job = run(place, provider, policy({"action": "deny"}, shadow=True))
    assert job["state"] == State.SUCCEEDED
    [finding] = job["verdict"]["findings"]
    assert (finding["decision"], finding["signals"]["shadow"]) == (Decision.ALLOW, Decision.DENY)


def test_without_the_flag_no_policy_is_asked(place: WorkerPlace, provider: ScriptedServer) -> None:
    off = Flags({Flag.ENABLE_POLICY_ENGINE: FlagState(False)})
    job = run(place, provider, policy({"action": "deny"}), flags=off)
    assert (job["state"], job["verdict"]) == (State.SUCCEEDED, None)


def test_what_rules_match_is_counted_once_a_job_and_written_by_the_way(
    place: WorkerPlace, provider: ScriptedServer
) -> None:
    matches = PolicyMatches(place.store.database)
    flag, never = {"action": "flag", "reason": "seen"}, {"field": "metadata.team", "op": "eq", "value": "sales"}
    rules = [{"id": "all", "then": [flag]}, {"id": "none", "when": never, "then": [flag]}]
    sets = [
        PolicySet.from_json({"id": set_id, "name": "ours", "version": 1, "rules": rules, "shadow": set_id == "shadow"})
        for set_id in ("set", "shadow")
    ]
    core = place.core(deployments_at(f"{provider.url}/v1", "a"), policies=tuple(sets))
    first = place.start(core)
    place.run(new_job("Hello"), new_job("Hi"))
    place.stop(first)
    [(rule, found)] = matches.of("set").items()
    assert (rule, found.count) == ("all", 2)
    assert matches.of("shadow")["all"].count == 2
    second = place.start(place.core(deployments_at(f"{provider.url}/v1", "a"), policies=tuple(sets)))
    place.run(new_job("Hello"))
    place.stop(second)
    again = matches.of("set")["all"]
    assert again.count == 3
    assert again.last_at >= found.last_at
