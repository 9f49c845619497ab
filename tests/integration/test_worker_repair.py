"""An answer that does not fit is repaired: the next call says what was wrong with it, as far as its sender allows."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.deployments import Capability, Catalog
from synthralos.domain.jobs import Constraints, NewJob
from synthralos.domain.policies import PolicySet
from synthralos.domain.states import State
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
MISFIT, FITTING = '{"town": "Bern"}', '{"city": "Bern"}'


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


def catalog(server: ScriptedServer, *names: str, **more: Any) -> Catalog:
    return deployments_at(
        f"{server.url}/v1", *(names or ("a",)), capabilities=frozenset({Capability.JSON_MODE}), **more
    )


def asks(text: str = "Which city?", **constraints: Any) -> NewJob:
    return new_job(text, constraints=Constraints(**constraints), body={"response_format": FORMAT})


def completion(asked: Asked, text: str) -> Answer:
    """A whole completion that bills a token for each four bytes of what was asked."""
    tokens = len(json.dumps(asked.json()["messages"])) // 4
    usage = {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return Answer(body={"id": "c", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage})


def in_turn(server: ScriptedServer, *texts: str) -> None:
    left = list(texts)
    server.script = lambda asked: completion(asked, left.pop(0) if len(left) > 1 else left[0])


def turns(server: ScriptedServer) -> list[list[dict[str, Any]]]:
    """The messages of each call."""
    return [asked.json()["messages"] for asked in server.asked]


@pytest.mark.parametrize("repair", [None, "explain"])
def test_the_next_call_has_the_answer_and_what_was_wrong_with_it(
    place: WorkerPlace, server: ScriptedServer, repair: Any
) -> None:
    in_turn(server, MISFIT, FITTING)
    place.worker(catalog(server))
    job = place.run(asks(repair=repair))
    assert (job["state"], job["result"]["text"]) == (State.SUCCEEDED, FITTING)
    first, second = turns(server)
    assert second[: len(first)] == first
    assert second[-2] == {"role": "assistant", "content": MISFIT}
    assert second[-1]["role"] == "user"
    assert "required" in second[-1]["content"]
    assert len(second) == len(first) + 2


def test_both_calls_are_on_the_books_at_what_they_cost_and_the_answer_is_not_stored(
    place: WorkerPlace, server: ScriptedServer
) -> None:
    in_turn(server, MISFIT, FITTING)
    place.worker(catalog(server))
    job = place.run(asks())
    first, second = place.store.attempts(job["id"])
    assert (first["outcome"], second["outcome"]) == (Outcome.FAILED, Outcome.SUCCEEDED)
    assert (first["billed"], second["billed"]) == (Billed.YES, Billed.YES)
    assert second["input_tokens"] > first["input_tokens"]
    assert second["cost_picousd"] > first["cost_picousd"]
    told = json.dumps([first["failure"], place.store.events(job["id"])], default=str)
    assert "town" not in told


@pytest.mark.parametrize(("repair", "calls"), [("again", 2), ("none", 1)])
def test_a_prompt_that_must_not_change_does_not(
    place: WorkerPlace, server: ScriptedServer, repair: Any, calls: int
) -> None:
    in_turn(server, MISFIT)
    place.worker(catalog(server))
    job = place.run(asks(repair=repair, fallback=False))
    assert job["state"] == State.FAILED
    assert len(server.asked) == calls
    assert all(messages == turns(server)[0] for messages in turns(server))


def test_another_deployment_is_not_told_what_the_first_one_said(place: WorkerPlace, server: ScriptedServer) -> None:
    in_turn(server, MISFIT, MISFIT, FITTING)
    place.worker(catalog(server, "a", "b"))
    job = place.run(asks())
    assert job["state"] == State.SUCCEEDED
    assert [asked.json()["model"] for asked in server.asked] == ["a", "a", "b"]
    assert turns(server)[2] == turns(server)[0]


def test_a_repair_quotes_placeholders_and_no_private_value(place: WorkerPlace, server: ScriptedServer) -> None:
    in_turn(server, '{"mail": "[EMAIL_1]"}', '{"city": "[EMAIL_1]"}')
    place.worker(catalog(server))
    job = place.run(asks("Where is ann@example.com?", private_data="redact", restore=True))
    assert job["result"]["text"] == '{"city": "ann@example.com"}'
    assert all(b"ann@example.com" not in asked.body for asked in server.asked)
    assert turns(server)[1][-2]["content"] == '{"mail": "[EMAIL_1]"}'


def test_what_has_no_room_beside_the_prompt_is_left_out(place: WorkerPlace, server: ScriptedServer) -> None:
    in_turn(server, "x" * 4_000, FITTING)
    [deployment] = catalog(server)
    object.__setattr__(deployment, "context_window", 500)
    place.worker(Catalog([deployment]))
    job = place.run(asks())
    assert job["state"] == State.SUCCEEDED
    assert turns(server)[1] == turns(server)[0]


def test_a_long_answer_is_quoted_in_part(place: WorkerPlace, server: ScriptedServer) -> None:
    long = "begin" + "x" * 50_000 + "end"
    in_turn(server, long, FITTING)
    place.worker(catalog(server))
    place.run(asks())
    quoted = turns(server)[1][-2]["content"]
    assert len(quoted) < 17_000
    assert (quoted[:5], quoted[-3:]) == ("begin", "end")


def refusing(**members: Any) -> PolicySet:
    rule = {"id": "one", "then": [{"action": "check_output", **members}]}
    return PolicySet.from_json({"id": "0199", "name": "ours", "version": 1, "rules": [rule]})


def test_an_answer_that_a_policy_refuses_is_billed_and_repaired(place: WorkerPlace, server: ScriptedServer) -> None:
    in_turn(server, "As an AI I cannot say.", "Bern")
    place.start(place.core(catalog(server), policies=(refusing(must_not_match="(?i)as an ai"),)))
    job = place.run(new_job("Which city?"))
    assert job["result"]["text"] == "Bern"
    first, second = place.store.attempts(job["id"])
    assert (first["failure"]["class"], first["billed"], second["billed"]) == ("schema_mismatch", "yes", "yes")
    assert first["cost_picousd"] > 0
    assert turns(server)[1][-2]["content"] == "As an AI I cannot say."


def test_a_streamed_answer_that_is_checked_is_told_only_when_it_passed(
    place: WorkerPlace, server: ScriptedServer
) -> None:
    in_turn(server, "As an AI I cannot say.", "Bern")
    core = place.core(catalog(server), policies=(refusing(must_not_match="(?i)as an ai"),))
    place.start(core)
    job = place.run(new_job("Which city?", constraints=Constraints(stream=True)))
    assert job["result"]["text"] == "Bern"
    assert all("stream" not in asked.json() for asked in server.asked)
