"""The client's retries: what is repeated, what is not, and that a job is never handed in twice by one call."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from synthralos_client import (
    AsyncClient,
    Client,
    ConfigurationError,
    ConnectError,
    PermissionDenied,
    RateLimited,
    ServerError,
    SynthralosError,
)
from tests.fakes.scripted_server import DROPPED, Answer, ScriptedServer, scripted_server

ACCEPTED = Answer(202, {"id": "j1", "state": "queued", "trace_id": "t1", "url": "/api/v1/jobs/j1"})
BUSY = Answer(503, {"title": "The database is down"}, {"Retry-After": "0"})

Do = Callable[[Any], Any]
Run = Callable[..., Any]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


def in_sync(url: str, do: Do, **options: Any) -> Any:
    with Client(url, "sk-syn-test", **options) as client:
        return do(client)


def in_async(url: str, do: Do, **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(url, "sk-syn-test", **options) as client:
            return await do(client)

    return asyncio.run(main())


@pytest.fixture(params=[in_sync, in_async], ids=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


def test_a_submission_whose_answer_was_lost_is_repeated_under_the_same_key(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(DROPPED, ACCEPTED)
    job = run(server.url, lambda client: client.submit("hello"))
    first, second = server.asked
    assert job.id == "j1"
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body


def test_two_submissions_have_two_keys(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(ACCEPTED)
    for _ in range(2):
        run(server.url, lambda client: client.submit("hello"))
    assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 2


def test_a_key_of_the_callers_own_is_used(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(ACCEPTED)
    run(server.url, lambda client: client.submit("hello", idempotency_key="order-7"))
    assert server.asked[0].headers["idempotency-key"] == "order-7"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_submission_is_repeated_when_the_server_is_busy(server: ScriptedServer, run: Run, status: int) -> None:
    server.answer_in_turn(Answer(status, {}, {"Retry-After": "0"}), ACCEPTED)
    assert run(server.url, lambda client: client.submit("hello")).id == "j1"


def test_retries_are_bounded_and_the_last_answer_is_told(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(BUSY)
    with pytest.raises(ServerError) as raised:
        run(server.url, lambda client: client.submit("hello"), max_retries=3)
    assert len(server.asked) == 4
    assert raised.value.title == "The database is down"


def test_an_internal_error_is_not_repeated(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(Answer(500, {"title": "a bug"}))
    with pytest.raises(ServerError):
        run(server.url, lambda client: client.submit("hello"))
    assert len(server.asked) == 1


def test_a_wait_longer_than_anybody_waits_is_passed_on_at_once(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(Answer(429, {}, {"Retry-After": "86400"}))
    with pytest.raises(RateLimited) as raised:
        run(server.url, lambda client: client.submit("hello"))
    assert raised.value.retry_after == 86400
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "wish", ["Fri, 31 Dec 99999999999999999999 23:59:59 GMT", "Fri, 31 Dec 2027 23:59:59 +99999999999999", "inf", "nan"]
)
def test_a_wish_that_cannot_be_understood_is_none(server: ScriptedServer, run: Run, wish: str) -> None:
    server.answer_in_turn(Answer(503, {}, {"Retry-After": wish}), ACCEPTED)
    assert run(server.url, lambda client: client.submit("hello")).id == "j1"


def test_retry_after_may_be_a_date(server: ScriptedServer, run: Run) -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(minutes=1), usegmt=True)
    server.answer_in_turn(Answer(503, {}, {"Retry-After": past}), ACCEPTED)
    assert run(server.url, lambda client: client.submit("hello")).id == "j1"


@pytest.mark.parametrize("verb", ["cancel", "retry", "reroute"])
def test_an_operation_that_the_server_may_have_seen_is_not_repeated(
    server: ScriptedServer, run: Run, verb: str
) -> None:
    server.answer_in_turn(DROPPED, Answer(200, {"id": "j1", "state": "queued"}))
    with pytest.raises(ConnectError):
        run(server.url, lambda client: getattr(client, verb)("j1"))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "do",
    [
        lambda client: client.create_key("one"),
        lambda client: client.rotate_key("k1"),
        lambda client: client.cancel_many(["j1"]),
        lambda client: client.retry_many(["j1"]),
    ],
    ids=["create_key", "rotate_key", "cancel_many", "retry_many"],
)
def test_what_would_be_done_twice_is_not_repeated(server: ScriptedServer, run: Run, do: Do) -> None:
    server.answer_in_turn(DROPPED)
    with pytest.raises(ConnectError):
        run(server.url, do)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("do", "body"),
    [
        (lambda client: client.api_keys(), {"keys": []}),
        (lambda client: client.revoke_key("k1"), {"id": "k1", "name": "n", "prefix": "p", "role": "viewer"}),
        (lambda client: client.organizations(), {"organizations": []}),
        (lambda client: client.set_plan("a/b", "pro"), {"name": "a/b", "account_plan": "pro"}),
    ],
    ids=["api_keys", "revoke_key", "organizations", "set_plan"],
)
def test_what_twice_is_the_same_as_once_is_repeated(server: ScriptedServer, run: Run, do: Do, body: Any) -> None:
    server.answer_in_turn(DROPPED, Answer(200, body))
    run(server.url, do)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "do",
    [
        lambda client: client.schedules.create("s", job={"prompt": "hi"}, cron="@daily"),
        lambda client: client.schedules.run("s1"),
        lambda client: client.webhooks.test("w1"),
        lambda client: client.configuration.create_policy({"name": "p", "rules": []}),
    ],
    ids=["schedule", "run", "webhook test", "policy"],
)
def test_what_is_made_is_sent_again_under_the_same_key(server: ScriptedServer, run: Run, do: Do) -> None:
    server.answer_in_turn(DROPPED, Answer(201, {"id": "x1"}))
    run(server.url, do)
    first, second = (asked.headers["idempotency-key"] for asked in server.asked)
    assert first == second


@pytest.mark.parametrize(
    "do",
    [lambda client: client.webhooks.create("https://example.com"), lambda client: client.webhooks.rotate_secret("w1")],
    ids=["create", "rotate"],
)
def test_what_shows_a_secret_once_is_not_sent_again(server: ScriptedServer, run: Run, do: Do) -> None:
    server.answer_in_turn(DROPPED)
    with pytest.raises(ConnectError):
        run(server.url, do)
    assert len(server.asked) == 1


def test_many_ids_go_in_parts_and_what_was_reported_before_a_refusal_is_kept(server: ScriptedServer, run: Run) -> None:
    server.script = lambda asked: (
        Answer(403, {})
        if len(asked.json()["jobs"]) < 1_000
        else Answer(
            200, {"results": [{"id": i, "outcome": "done", "state": "cancelled"} for i in asked.json()["jobs"]]}
        )
    )
    ids = [f"j{number}" for number in range(1_001)]
    with pytest.raises(PermissionDenied) as raised:
        run(server.url, lambda client: client.cancel_many([*ids, "J0"]))
    assert [result.id for result in raised.value.reported] == ids[:1_000]
    assert all(result.done for result in raised.value.reported)


def test_an_operation_that_was_turned_away_is_repeated(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(BUSY, Answer(200, {"id": "j1", "state": "cancelled"}))
    assert run(server.url, lambda client: client.cancel("j1")).state == "cancelled"


def test_a_server_that_is_not_there_is_told_with_its_address(run: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ConnectError, match=url) as raised:
        run(url, lambda client: client.get("j1"), max_retries=1)
    assert isinstance(raised.value, SynthralosError)
    assert raised.value.__cause__ is not None


def test_an_unready_server_is_an_answer_and_not_an_error(server: ScriptedServer, run: Run) -> None:
    server.answer_in_turn(Answer(503, {"status": "unready"}, {"Content-Type": "application/json"}))
    health = run(server.url, lambda client: client.health())
    assert not health.ready
    assert len(server.asked) == 1
    assert "authorization" not in server.asked[0].headers


def test_this_host_is_reached_without_a_proxy(
    server: ScriptedServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "localhost,::1/128")
    server.answer_in_turn(ACCEPTED)
    assert run(server.url, lambda client: client.submit("hello")).id == "j1"


def test_a_proxy_that_cannot_be_used_is_told_by_its_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:notaport")
    with pytest.raises(ConfigurationError, match="HTTP_PROXY"):
        run("http://jobs.invalid", lambda client: client.get("j1"))
