"""What the client sends when jobs are handed in, one or many."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from synthralos_client import Client, ConfigurationError, InvalidRequest
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        numbers = itertools.count()

        def accept(asked: Asked) -> Answer:
            sent = asked.json()
            receipts = [{"id": f"j{next(numbers)}", "state": "queued"} for _ in range(len(sent))]
            return Answer(202, {"jobs": receipts} if isinstance(sent, list) else receipts[0])

        running.script = accept
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(server.url, "sk-syn-test") as running:
        yield running


def test_a_prompt_and_its_options_are_sent_as_they_are(server: ScriptedServer, client: Client) -> None:
    client.submit("¿Qué tal?", model="a/b", temperature=0.5, constraints={"classification": "eu"}, metadata={"n": 1})
    assert server.asked[0].json() == {
        "model": "a/b",
        "prompt": "¿Qué tal?",
        "temperature": 0.5,
        "constraints": {"classification": "eu"},
        "metadata": {"n": 1},
    }
    assert server.asked[0].headers["authorization"] == "Bearer sk-syn-test"


def test_money_and_times_keep_their_exact_value(server: ScriptedServer, client: Client) -> None:
    deadline = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    client.submit("x", deadline=deadline, constraints={"max_cost_usd": Decimal("0.10")})
    sent = server.asked[0].json()
    assert sent["constraints"]["max_cost_usd"] == "0.10"
    assert datetime.fromisoformat(sent["deadline"]) == deadline


def test_a_lone_surrogate_reaches_the_server_that_can_name_its_field(server: ScriptedServer, client: Client) -> None:
    client.submit("broken \ud800 text")
    assert server.asked[0].json()["prompt"] == "broken \ud800 text"


@pytest.mark.parametrize("both_or_neither", [{}, {"prompt": "x", "messages": [{"role": "user", "content": "x"}]}])
def test_a_job_has_either_a_prompt_or_messages(client: Client, both_or_neither: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="messages"):
        client.submit(**both_or_neither)


def test_a_trace_of_the_callers_own_is_passed_on(server: ScriptedServer, client: Client) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.submit("x", traceparent=parent)
    assert server.asked[0].headers["traceparent"] == parent


def test_any_number_of_jobs_goes_in_chunks_and_keeps_its_order(server: ScriptedServer, client: Client) -> None:
    jobs = client.submit_many({"prompt": str(number)} for number in range(2_500))
    assert [len(asked.json()) for asked in server.asked] == [1000, 1000, 500]
    assert [job.id for job in jobs] == [f"j{number}" for number in range(2_500)]
    assert [job["prompt"] for asked in server.asked for job in asked.json()] == [str(n) for n in range(2_500)]


def test_long_prompts_make_smaller_chunks(server: ScriptedServer, client: Client) -> None:
    client.submit_many({"prompt": "x" * 3_000_000} for _ in range(5))
    assert [len(asked.json()) for asked in server.asked] == [2, 2, 1]


def test_no_jobs_need_no_request(server: ScriptedServer, client: Client) -> None:
    assert client.submit_many([]) == []
    assert server.asked == []


def test_each_chunk_has_a_key_that_the_same_call_makes_again(server: ScriptedServer, client: Client) -> None:
    for _ in range(2):
        client.submit_many(({"prompt": str(number)} for number in range(1_500)), idempotency_key="nightly")
    keys = [asked.headers["idempotency-key"] for asked in server.asked]
    assert keys[:2] == keys[2:]
    assert len(set(keys)) == 2


def test_an_error_tells_which_jobs_are_in(server: ScriptedServer, client: Client) -> None:
    accept = server.script
    wrong = [{"field": "jobs[7].prompt", "problem": "is empty", "remedy": "write one"}]
    server.script = lambda asked: Answer(422, {"errors": wrong}) if len(server.asked) == 2 else accept(asked)
    with pytest.raises(InvalidRequest) as raised:
        client.submit_many({"prompt": str(number)} for number in range(1_500))
    assert [job.id for job in raised.value.accepted] == [f"j{number}" for number in range(1_000)]
    assert raised.value.errors[0].field == "jobs[7].prompt"


def test_address_and_key_come_from_the_environment(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHRALOS_URL", server.url + "/")
    monkeypatch.setenv("SYNTHRALOS_API_KEY", "sk-syn-env\n")
    with Client() as client:
        client.submit("x")
    assert server.asked[0].headers["authorization"] == "Bearer sk-syn-env"


def test_without_a_key_nothing_is_sent(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTHRALOS_API_KEY", raising=False)
    with Client(server.url) as client, pytest.raises(ConfigurationError):
        client.submit("x")
    assert server.asked == []


@pytest.mark.parametrize(("url", "key"), [("localhost:8080", "k"), ("ftp://x", "k"), ("http://x", "k\u00e9y")])
def test_what_cannot_work_is_refused_at_once(url: str, key: str) -> None:
    with pytest.raises(ConfigurationError):
        Client(url, key)


def test_a_key_does_not_show_in_a_representation(client: Client) -> None:
    assert "sk-syn-test" not in repr(client._config)
