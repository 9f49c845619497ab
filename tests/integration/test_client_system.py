"""The client against the whole system: API, worker and scheduler, as `synthralos up` runs them."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from synthralos_client import (
    AsyncClient,
    AuthenticationError,
    Client,
    Conflict,
    InvalidRequest,
    Job,
    NotFound,
    WaitTimeout,
)
from synthralos_client.configuration import Rate
from tests.fakes.commands import System, system

SLOW = {"sandbox": {"delay_seconds": 60.0}}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with system(tmp_path_factory.mktemp("up")) as running:
        yield running


@pytest.fixture
def client(up: System) -> Iterator[Client]:
    with Client(up.url, up.key) as running:
        yield running


def test_a_prompt_becomes_a_result_with_its_cost(client: Client) -> None:
    job = client.wait(client.submit("Name three rivers.", model="sandbox/small").id, timeout=30)
    assert job.succeeded
    assert job.text
    assert job.cost > 0
    assert isinstance(job.cost, Decimal)
    assert job.finished_at is not None
    assert job.created_at is not None
    assert job.finished_at >= job.created_at


def test_many_jobs_are_submitted_and_waited_for(client: Client) -> None:
    jobs = client.submit_many({"prompt": f"number {n}", "run_id": "many"} for n in range(1_100))
    counted: list[int] = []
    done = client.wait_many([job.id for job in jobs], 100, lambda job, n, total: counted.append(n))
    assert [job.id for job in done] == [job.id for job in jobs]
    assert all(job.succeeded for job in done)
    assert counted == list(range(1, 1_101))
    assert {job.id for job in client.jobs(run_id="many")} == {job.id for job in jobs}


def test_the_same_call_with_the_same_key_makes_no_second_job(client: Client) -> None:
    first, second = (client.submit("once", idempotency_key="only-once") for _ in range(2))
    assert first.id == second.id
    with pytest.raises(InvalidRequest):
        client.submit("something else", idempotency_key="only-once")


def test_events_are_followed_to_the_end_and_can_be_resumed(client: Client) -> None:
    job = client.submit("follow me", provider_options={"sandbox": {"failures": ["rate_limited"]}})
    events = list(client.events(job.id))
    assert events[-1].kind == "done"
    assert {"state", "span", "attempt"} <= {event.kind for event in events}
    middle = len(events) // 2
    rest = list(client.events(job.id, last_event_id=events[middle].id))
    assert rest[-1] == events[-1]
    assert len(rest) < len(events)


def test_a_trace_has_the_attempts_that_were_made(client: Client) -> None:
    job = client.submit("trace me", model="auto", provider_options={"sandbox": {"failures": ["rate_limited"]}})
    client.wait(job.id, timeout=30)
    spans = client.trace(job.id)["jobs"][0]["spans"]
    attempts = [span for span in spans if span["kind"] == "attempt"]
    assert [span["attributes"]["outcome"] for span in attempts] == ["failed", "succeeded"]
    assert client.trace(job.trace_id)["trace_id"] == job.trace_id


def test_a_job_that_takes_long_is_not_done_in_time_and_can_be_cancelled(client: Client) -> None:
    job = client.submit("slow", provider_options=SLOW)
    with pytest.raises(WaitTimeout) as raised:
        client.wait(job.id, timeout=0.2)
    assert list(raised.value.jobs) == [job.id]
    assert client.cancel(job.id, reason="test").state == "cancelled"
    with pytest.raises(Conflict):
        client.cancel(job.id)


def test_a_dead_letter_is_retried_and_rerouted(client: Client) -> None:
    options = {"sandbox": {"failures": ["invalid_request", "invalid_request", None]}}
    job = client.wait(client.submit("dead", provider_options=options).id, timeout=30)
    assert job.state == "failed"
    assert job.failure is not None
    assert job.failure.kind == "invalid_request"
    client.retry(job.id, reason="once more")
    assert client.wait(job.id, timeout=30).state == "failed"
    client.reroute(job.id, exclude=["sandbox/small@us"])
    assert client.wait(job.id, timeout=30).succeeded


def test_many_jobs_are_cancelled_and_retried_and_each_is_reported(client: Client) -> None:
    slow = [job.id for job in client.submit_many({"prompt": "slow", "provider_options": SLOW} for _ in range(2))]
    unknown = "019a0000-0000-7000-8000-000000000000"
    results = client.cancel_many([slow[0], unknown, slow[1], slow[0].upper()], reason="test")
    assert [(result.id, result.outcome) for result in results] == [
        (slow[0], "done"),
        (unknown, "not_found"),
        (slow[1], "done"),
    ]
    assert [result.state for result in results] == ["cancelled", None, "cancelled"]
    again = client.cancel_many(slow)
    assert {(result.outcome, result.state) for result in again} == {("refused", "cancelled")}
    assert all(result.detail for result in again)
    assert all(result.done for result in client.retry_many(slow))
    assert all(result.done for result in client.cancel_many(slow))


def test_keys_are_made_listed_rotated_and_revoked(up: System, client: Client) -> None:
    made = client.create_key("a service", role="service", organization="acme", expires_in_seconds=3_600)
    assert made.secret
    assert (made.role, made.organization) == ("service", "acme")
    assert made.created_at is not None
    assert made.expires_at is not None
    assert made.expires_at > made.created_at
    listed = {key.id: key for key in client.api_keys()}
    assert listed[made.id].secret is None
    assert made.secret not in repr(made)
    rotated = client.rotate_key(made.id, grace_seconds=60)
    assert rotated.secret not in (None, made.secret)
    with Client(up.url, rotated.secret) as other:
        assert other.submit("with the new key").id
    assert client.revoke_key(rotated.id).revoked_at is not None


def test_an_organization_is_put_on_a_plan_whatever_its_name(client: Client) -> None:
    assert client.set_plan("Müller & Co", "enterprise").account_plan == "enterprise"
    assert {"Müller & Co": "enterprise"}.items() <= {o.name: o.account_plan for o in client.organizations()}.items()
    with pytest.raises(InvalidRequest):
        client.set_plan("acme", "gold")


def test_the_async_client_administers_too(up: System) -> None:
    async def main() -> None:
        async with AsyncClient(up.url, up.key) as client:
            made = await client.create_key("async")
            assert made.id in [key.id for key in await client.api_keys()]
            assert (await client.rotate_key(made.id)).secret
            assert (await client.set_plan("async", "free")).name == "async"
            assert "async" in [organization.name for organization in await client.organizations()]
            job = await client.submit("slow", provider_options=SLOW)
            assert [result.outcome for result in await client.cancel_many([job.id])] == ["done"]
            assert [result.outcome for result in await client.retry_many([job.id])] == ["done"]
            assert [result.outcome for result in await client.cancel_many([job.id])] == ["done"]

    asyncio.run(main())


def test_what_is_wrong_is_named_by_its_field(client: Client) -> None:
    with pytest.raises(InvalidRequest) as raised:
        client.submit_many([{"prompt": "fine"}, {"prompt": "not fine", "temperature": 3}])
    assert raised.value.errors[0].field == "jobs[1].temperature"


def test_a_lone_surrogate_is_refused_by_the_server(client: Client) -> None:
    with pytest.raises(InvalidRequest):
        client.submit("broken \ud800 text")


def test_what_does_not_exist_and_who_is_not_known(up: System, client: Client) -> None:
    with pytest.raises(NotFound):
        client.get("019a0000-0000-7000-8000-000000000000")
    with Client(up.url, "sk-syn-unknown") as stranger, pytest.raises(AuthenticationError):
        stranger.submit("hello")


def test_health_needs_no_key(up: System) -> None:
    with Client(up.url) as client:
        assert client.health().ready


def test_the_async_client_does_the_same(up: System) -> None:
    async def main() -> list[Job]:
        async with AsyncClient(up.url, up.key) as client:
            first = await client.submit("one", run_id="async")
            many = await client.submit_many({"prompt": str(n), "run_id": "async"} for n in range(40))
            await client.wait_many([first.id, *(job.id for job in many)], timeout=60)
            kinds = [event.kind async for event in client.events(first.id)]
            assert kinds[-1] == "done"
            return [job async for job in client.jobs(run_id="async", page_size=15)]

    jobs = asyncio.run(main())
    assert len(jobs) == 41
    assert all(job.succeeded for job in jobs)


ENTRY = {"context_window": 9_000, "max_output": 500, "price": {"input": "1.5", "output": "2", "as_of": "2026-01-01"}}


def test_the_configuration_is_changed_and_is_on_record(client: Client) -> None:
    live = client.configuration
    assert live.set_flag("enable_cron_backoff", enabled=True, percentage=10, reason="trial")["percentage"] == 10
    assert any(flag["has"] is not None for flag in live.flags(organization="acme"))
    assert live.reset_flag("enable_cron_backoff", reason="over")["source"] == "default"
    assert live.set_limits("pro", prompt_tokens=1_000)["prompt_tokens"] == 1_000
    assert live.reset_limits("pro")["prompt_tokens"] == 256_000
    rate: Rate = {"per": "user", "unit": "requests", "window": "minute", "limit": 60}
    assert live.set_organization_limits("acme", rates=[rate])["rates"] == [rate]
    assert live.organization_limits("acme")["own"] == ["rates"]
    assert live.reset_organization_limits("acme")["rates"] == []
    assert len(live.limits()) == 3
    assert live.set_deployment("sandbox/new@eu", ENTRY, reason="new")["context_window"] == 9_000
    assert "sandbox/new@eu" in {each["id"] for each in live.deployments()}
    assert "sandbox/new@eu" not in {each["id"] for each in live.remove_deployment("sandbox/new@eu")}
    acts = [change["act"] for change in live.audit(subject="flag:enable_cron_backoff", page_size=1)]
    assert acts == ["flags.reset", "flags.set"]


NEVER = {"field": "prompt_tokens", "op": "lt", "value": 0}
POLICY: dict[str, Any] = {
    "name": "short",
    "rules": [
        {
            "id": "long",
            "when": {"field": "prompt_tokens", "op": "gt", "value": 9_000},
            "then": [{"action": "deny", "reason": "too long"}],
        }
    ],
}


def test_policies_are_written_tried_and_rolled_back(client: Client) -> None:
    live = client.configuration
    assert "too long" in live.evaluate_policies(facts={"prompt_tokens": 9_001}, draft=POLICY)["reason"]
    steps: list[dict[str, Any]] = []
    assert live.simulate_policies(draft=POLICY, last=10, on_progress=steps.append)["stopped"] == 0
    assert {step["event"] for step in steps} <= {"progress"}
    never = {**POLICY, "rules": [{**POLICY["rules"][0], "when": NEVER}]}
    assert live.lint_policy(never)["publishable"] is False
    with pytest.raises(Conflict):
        live.create_policy(never)
    assert live.remove_policy(live.create_policy(never, force=True)["id"])["version"] == 1
    made = live.create_policy(POLICY, reason="trial")
    assert made.pop("warnings") == []
    assert live.policy(made["id"]) == made
    assert [rule["matches"] for rule in live.policy_coverage(made["id"])] == [0]
    assert live.replace_policy(made["id"], {**POLICY, "name": "shorter"})["version"] == 2
    assert live.diff_policy(made["id"], 2)["members"] == [{"path": "name", "before": "short", "after": "shorter"}]
    assert live.roll_back_policy(made["id"], 1)["name"] == "short"
    assert made["id"] in [each["id"] for each in live.policies()]
    assert live.remove_policy(made["id"], reason="over")["version"] == 3
    assert [each["version"] for each in live.policy_versions(made["id"])] == [4, 3, 2, 1]


def test_the_async_client_writes_policies_alike(up: System) -> None:
    async def work() -> list[int]:
        async with AsyncClient(up.url, up.key) as client:
            live = client.configuration
            tried = await live.evaluate_policies(facts={"prompt_tokens": 9_001}, draft=POLICY)
            assert tried["decision"] == "deny"
            assert (await live.simulate_policies(draft=POLICY, last=10))["stopped"] == 0
            assert (await live.lint_policy(POLICY))["publishable"] is True
            made = await live.create_policy(POLICY)
            await live.replace_policy(made["id"], POLICY)
            assert (await live.diff_policy(made["id"], 1, 2))["members"] == []
            assert [rule["matches"] for rule in await live.policy_coverage(made["id"])] == [0]
            await live.roll_back_policy(made["id"], 1)
            assert made["id"] in [each["id"] for each in await live.policies()]
            assert (await live.policy(made["id"]))["version"] == 3
            await live.remove_policy(made["id"])
            return [each["version"] for each in await live.policy_versions(made["id"])]

    assert asyncio.run(work()) == [4, 3, 2, 1]


def test_the_async_client_configures_alike(up: System) -> None:
    async def work() -> list[str]:
        async with AsyncClient(up.url, up.key) as client:
            await client.configuration.set_flag("enable_stackstorm", enabled=False)
            await client.configuration.reset_flag("enable_stackstorm")
            return [change["act"] async for change in client.configuration.audit(subject="flag:enable_stackstorm")]

    assert asyncio.run(work()) == ["flags.reset", "flags.set"]
