"""Submitting jobs: what is accepted is durable and rung for, and the same key never makes two."""

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime

import httpx
import orjson
import pytest

from migrations.runner import upgrade
from synthralos.bus.protocol import Topic
from synthralos.domain.findings import Decision, Finding, verdict_of
from synthralos.domain.ids import is_id, trace_id_of
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.standing import line_key
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.store.queue.lines import Lines
from synthralos.store.queue.submissions import Idempotency, Submission
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreBusy
from synthralos.store.tables import jobs
from tests.fakes.jobs import new_job, settlement
from tests.fakes.plain_http import NO_TLS
from tests.fakes.tcp_proxy import TcpProxy
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client(Role.SERVICE)


def test_a_job_that_was_accepted_is_stored_and_rung_for(place: Place, client: httpx.Client) -> None:
    answer = client.post(JOBS, json={"prompt": "Hello"})
    receipt = answer.json()
    assert answer.status_code == 202
    assert is_id(receipt["id"])
    assert receipt["trace_id"] == trace_id_of(receipt["id"])
    assert answer.headers["location"] == receipt["url"] == f"{JOBS}/{receipt['id']}"
    row = place.store.job(receipt["id"])
    assert row["request"]["body"] == {"messages": [{"role": "user", "content": "Hello"}]}
    assert (row["organization"], row["workspace"], row["user_id"]) == ("acme", "default", None)
    assert place.doorbell.rung(Stage.GUARD, Lane.INTERACTIVE) == [receipt["id"]]


def test_an_array_keeps_its_order_and_goes_into_the_bulk_lane(place: Place, client: httpx.Client) -> None:
    sent = [{"prompt": f"number {n}"} for n in range(1000)]
    receipts = client.post(JOBS, json=sent).json()["jobs"]
    rows = {row["id"]: row for row in place.store.rows(jobs)}
    texts = [rows[receipt["id"]]["request"]["body"]["messages"][0]["content"] for receipt in receipts]
    assert texts == [job["prompt"] for job in sent]
    assert place.doorbell.rung(Stage.GUARD, Lane.BULK) == [receipt["id"] for receipt in receipts]


def test_everything_that_was_sent_is_kept_as_it_was_sent(place: Place, client: httpx.Client) -> None:
    asked = {
        "messages": [
            {"role": "system", "content": "Be terse."},
            {"role": "user", "content": [{"type": "text", "text": "Grüße 👋"}]},
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
        ],
        "max_output_tokens": 100,
        "temperature": 0.5,
        "top_p": 1,
        "stop": ["END"],
        "seed": -(2**63),
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    }
    demanded = {
        "region": "eu", "classification": "eu", "strategy": "pinned", "max_cost_usd": "0.000000000001",
        "max_attempts": 20, "fallback": False, "pin": "sandbox/medium@eu", "exclude": ["sandbox/small@us"],
        "on_limit": "reject", "max_wait_seconds": 1.5,
        "private_data": None,
        "restore_private_data": False,
        "reuse": "never",
        "zero_retention": True,
        "service_tier": "priority",
    }  # fmt: skip
    around = {
        "model": "sandbox/medium", "lane": "bulk", "run_id": "run 1", "workspace": "main", "user": "ann",
        "metadata": {"a": "b", "c": 1, "d": 0.5, "e": True}, "provider_options": {"sandbox": {"delay_seconds": 0.5}},
    }  # fmt: skip
    job_id = submitted_with(client, {**asked, **around, "constraints": demanded, "deadline_seconds": 60})
    row = place.store.job(job_id)
    assert row["request"] == {"body": asked, "provider_options": around["provider_options"]}
    assert row["constraints"] == demanded
    assert (row["model"], row["lane"], row["run_id"]) == ("sandbox/medium", "bulk", "run 1")
    assert (row["metadata"], row["workspace"], row["user_id"]) == (around["metadata"], "main", "ann")
    assert 55 < (row["deadline"] - row["created_at"]).total_seconds() < 65


def test_a_job_joins_the_trace_of_its_sender(client: httpx.Client) -> None:
    header = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    receipt = client.post(JOBS, json={"prompt": "Hello"}, headers=header).json()
    assert receipt["trace_id"] == "ab" * 16
    [traced] = client.get(f"/api/v1/observability/traces/{'ab' * 16}").json()["jobs"]
    assert traced["spans"][0]["parent_span_id"] == "cd" * 8


def test_an_invalid_traceparent_is_ignored(client: httpx.Client) -> None:
    receipt = client.post(JOBS, json={"prompt": "Hello"}, headers={"traceparent": "00-nonsense"}).json()
    assert receipt["trace_id"] == trace_id_of(receipt["id"])


def test_jobs_carry_the_plan_of_their_organization(place: Place) -> None:
    bound = place.client(Role.SERVICE, Scope("paying"), plan="pro")
    assert place.store.job(submitted(bound))["account_plan"] == "pro"
    whole = place.client(Role.SERVICE, EVERYTHING)
    assert place.store.job(submitted(whole, organization="paying"))["account_plan"] == "pro"
    assert place.store.job(submitted(whole))["organization"] == "default"


def test_a_hundred_posts_with_one_key_make_one_job(place: Place) -> None:
    secret = place.key(Role.SERVICE)
    barrier = threading.Barrier(20)

    def post(_: int) -> list[tuple[int, str, str | None]]:
        with httpx.Client(
            verify=NO_TLS, base_url=place.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60
        ) as client:
            barrier.wait()
            answers = [client.post(JOBS, json={"prompt": "once"}, headers={"Idempotency-Key": "k"}) for _ in range(5)]
        return [(a.status_code, a.json()["id"], a.headers.get("idempotent-replayed")) for a in answers]

    with ThreadPoolExecutor(20) as threads:
        answers = [answer for batch in threads.map(post, range(20)) for answer in batch]
    assert {(status, job_id) for status, job_id, _ in answers} == {(202, answers[0][1])}
    assert [replayed for *_, replayed in answers].count(None) == 1
    assert len(place.store.rows(jobs)) == 1


def test_a_replay_answers_as_the_first_call_did(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k", "traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    first = client.post(JOBS, json=[{"prompt": "a"}, {"prompt": "b"}], headers=headers)
    again = client.post(JOBS, content=b' [{"prompt":"a"}, {"prompt":"b"}] ', headers={"Idempotency-Key": "k"})
    assert again.json() == first.json()
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")


def test_a_replay_answers_the_state_that_the_job_is_in_now(place: Place, client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    job_id = client.post(JOBS, json={"prompt": "a"}, headers=headers).json()["id"]
    place.finish(job_id)
    again = client.post(JOBS, json={"prompt": "a"}, headers=headers)
    assert (again.json()["id"], again.json()["state"]) == (job_id, "succeeded")


def test_a_key_is_refused_with_another_body(place: Place, client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "k"}
    client.post(JOBS, json={"prompt": "a"}, headers=headers)
    answer = client.post(JOBS, json={"prompt": "b"}, headers=headers)
    assert answer.status_code == 422
    assert fields_of(answer) == ["header.Idempotency-Key"]
    assert len(place.store.rows(jobs)) == 1


def test_the_same_key_of_another_tenant_is_another_key(place: Place) -> None:
    headers = {"Idempotency-Key": "k"}
    scopes = [Scope("acme"), Scope("other"), Scope("acme", "main"), Scope("acme", "default", "ann")]
    answers = [place.client(Role.SERVICE, scope).post(JOBS, json={"prompt": "a"}, headers=headers) for scope in scopes]
    assert len({answer.json()["id"] for answer in answers}) == len(scopes)


def test_where_too_much_waits_already_it_is_a_503_that_says_when_to_come_again(place: Place) -> None:
    async def busy(*_: object) -> None:
        raise StoreBusy

    place.server.room.accept = busy  # type: ignore[assignment]
    refused = place.client(Role.SERVICE).post(JOBS, json={"prompt": "a"})
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    assert place.store.rows(jobs) == []


def test_a_database_that_is_down_is_a_503_and_never_a_202(store_on_postgres: Database) -> None:
    target = store_on_postgres.url
    with TcpProxy(target.host or "", target.port or 5432) as proxy:
        url = target.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        with closing(Database(url)) as through, api_over(core_over(through, submit_timeout=2.0)) as place:
            client = place.client(Role.SERVICE)
            assert client.post(JOBS, json={"prompt": "a"}).status_code == 202
            proxy.refuse()
            refused = client.post(JOBS, json={"prompt": "b"})
            reading = client.get(JOBS)
            unready = client.get("/health/ready")
            proxy.restore()
            accepted = client.post(JOBS, json={"prompt": "c"})
            texts = {row["request"]["body"]["messages"][0]["content"] for row in place.store.rows(jobs)}
    assert (refused.status_code, reading.status_code, unready.status_code) == (503, 503, 503)
    assert refused.headers["retry-after"].isdecimal()
    assert unready.json()["checks"]["database"] == "unreachable"
    assert accepted.status_code == 202
    assert texts == {"a", "c"}


@pytest.fixture
def store_on_postgres(postgres_database: str) -> Iterator[Database]:
    database = Database(postgres_database)
    upgrade(database)
    yield database
    database.close()


def submitted_with(client: httpx.Client, job: dict[str, object]) -> str:
    answer = client.post(JOBS, json=job)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_a_key_is_looked_at_before_what_may_have_become_wrong_since(place: Place, client: httpx.Client) -> None:
    document = {"prompt": "a", "deadline": "2020-01-01T00:00:00Z"}
    fingerprint = hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
    job = new_job(tenant=Tenant("acme"))
    place.store.submissions.accept([Submission([job], Idempotency("k", fingerprint))])
    again = client.post(JOBS, json=document, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()["id"]) == (202, job.id)
    assert again.headers["idempotent-replayed"] == "true"
    for other in ({"Idempotency-Key": "other"}, {}):
        assert client.post(JOBS, json=document, headers=other).status_code == 422
    assert client.post(JOBS, json={**document, "prompt": "b"}, headers={"Idempotency-Key": "k"}).status_code == 422


def test_bulk_jobs_stand_in_line_while_it_is_crowded_and_interactive_ones_do_not(
    place: Place, client: httpx.Client
) -> None:
    lines = Lines(place.store.database)
    place.core.bus.publish(Topic.CROWDED, [Lane.BULK])
    person = submitted(client, lane="interactive")
    while not (names := lines.names(1)):  # the bus of PostgreSQL tells it in its own time
        job_id = submitted(client, lane="bulk", prompt="x" * 400, max_output_tokens=50)
    place.core.bus.publish(Topic.CROWDED, [Lane.BULK])
    [waiting] = lines.heads(names, 1)[names[0]]
    assert waiting.job_id == job_id
    assert 100 <= waiting.tokens <= 200
    assert place.store.claim([person])
    assert job_id not in place.doorbell.rung(Stage.GUARD)
    first = client.get(f"{JOBS}/{job_id}").json()
    assert (first["state"], first["expected_at"]) == ("queued", None)
    assert "jobs before it there: 0" in first["waits_for"]
    place.core.bus.publish(Topic.CROWDED, [Lane.BULK, f"{line_key(names[0])}:0.5"])
    second = submitted(client, lane="bulk")
    waits = client.get(f"{JOBS}/{second}").json()
    while waits["expected_at"] is None:  # the bus again
        waits = client.get(f"{JOBS}/{second}").json()
    assert "jobs before it there: 1" in waits["waits_for"]
    seconds = (
        datetime.fromisoformat(waits["expected_at"]) - datetime.fromisoformat(waits["created_at"])
    ).total_seconds()
    assert 4 <= seconds < 30
    with client.stream("GET", f"{JOBS}/{second}/events") as stream:
        told = next(json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
    assert told["expected_at"] is not None
    assert told["waits_for"] == waits["waits_for"]
    lines.call([second])
    called = client.get(f"{JOBS}/{second}").json()
    assert (called["waits_for"], called["expected_at"]) == (None, None)


def test_a_job_that_a_guard_puts_off_says_for_what_it_waits(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    job = place.started(job_id)
    finding = Finding("rate_limits", Decision.DEFER, "the window is full", defer_seconds=60)
    settled = settlement(job, Transition.PARK, verdict=verdict_of([finding]))
    assert place.store.settle(settled)
    shown = client.get(f"{JOBS}/{job_id}").json()
    assert (shown["state"], shown["waits_for"]) == ("parked", "the window is full")
    assert shown["run_at"] is not None
