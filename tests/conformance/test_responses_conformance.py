"""OpenAI's own client is the judge of the Responses API: of what is sent, and of what answers and streams mean."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from pipelines.providers.openai import OpenAIProvider, check_deployment
from pipelines.providers.protocol import answer_to
from pipelines.providers.responses_wire import encode
from pipelines.providers.wire import NotTaken
from synthralos.domain.attempts import Reply
from synthralos.domain.deltas import Delta, merged_tools
from synthralos.domain.deployments import Capability
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Request
from tests.fakes import calls, conversations
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server

OPTIONS = {"api": "responses"}
DEPLOYMENT = calls.deployment(options=OPTIONS)
PARAMETERS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)
EVENT_STREAM = {"Content-Type": "text/event-stream"}
TAKEN = sorted(set(conversations.REQUESTS) - {"limits"})


def listed(value: Any) -> Any:
    """The value with all that is validated on the way, which pydantic does only where it is looked at."""
    if isinstance(value, Mapping):
        return {name: listed(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [listed(inner) for inner in value]
    return value


def sent(request: Request) -> Any:
    return json.loads(encode(request, DEPLOYMENT))


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_sent_has_the_types_of_the_client_and_no_other_member(name: str) -> None:
    options = {"openai": {"reasoning_effort": "low", "verbosity": "low", "prompt_cache_key": "k"}}
    body = sent(conversations.request(name, options, max_output_tokens=77, temperature=0.5))
    assert listed(PARAMETERS.validate_python(body)) == body
    assert (body["store"], body["reasoning"], body["text"]["verbosity"]) == (False, {"effort": "low"}, "low")


def test_what_is_sent_is_what_the_client_sends() -> None:
    request = conversations.request("talk", max_output_tokens=77)
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, answer()))
        by_us(server, request)
        by_the_client(server, **sent(request))
    ours, theirs = server.asked
    assert (ours.path, ours.query, ours.json()) == (theirs.path, theirs.query, theirs.json())
    assert ours.headers["authorization"] == theirs.headers["authorization"]


def test_a_conversation_keeps_its_order_and_its_calls() -> None:
    body = sent(conversations.request("talk"))
    kinds = [item.get("type") or item["role"] for item in body["input"]]
    assert body["instructions"] == "Be brief."
    assert kinds == [
        "user", "user", "assistant", "function_call", "function_call", "function_call_output", "function_call_output",
        "developer", "user", "assistant", "user",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "request_",
    [
        calls.request(stop="END"),
        calls.request(seed=1),
        calls.request(provider_options={"openai": {"logit_bias": {"1": 1}}}),
        Request("m", {"messages": [{"role": "system", "content": "alone"}]}),
        Request("m", {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}),
    ],
)
def test_what_the_api_has_no_form_for_is_refused_before_it_is_sent(request_: Request) -> None:
    with pytest.raises(NotTaken):
        encode(request_, DEPLOYMENT)


def by_us(server: ScriptedServer, request: Request | None = None, heard: list[Delta] | None = None) -> Reply | Failure:
    async def scenario() -> Reply | Failure:
        deployment = calls.deployment(base_url=f"{server.url}/v1", options=OPTIONS)
        provider = OpenAIProvider(calls.credentials(deployment))
        call = calls.call(deployment, request)
        if heard is not None:
            call.on_delta = heard.append
        try:
            return await answer_to(call, provider.begin)
        finally:
            await provider.close()

    return asyncio.run(scenario())


def by_the_client(server: ScriptedServer, **body: Any) -> Response:
    asked = body or {"model": "model", "input": "hi"}
    with openai.OpenAI(api_key=calls.KEY, base_url=f"{server.url}/v1", max_retries=0) as client:
        found: Response = client.responses.create(**asked)
        return found


def streamed_by_the_client(server: ScriptedServer) -> Response:
    with (
        openai.OpenAI(api_key=calls.KEY, base_url=f"{server.url}/v1", max_retries=0) as client,
        client.responses.stream(model="model", input="hi") as stream,
    ):
        found: Response = stream.get_final_response()
        return found


def said(*parts: dict[str, Any], identity: str = "msg_1") -> dict[str, Any]:
    return {"id": identity, "type": "message", "role": "assistant", "status": "completed", "content": list(parts)}


def text(value: str) -> dict[str, Any]:
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": []}


def made(identity: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{identity}", "call_id": identity, "name": name, "arguments": arguments,
            "status": "completed"}  # fmt: skip


THOUGHT = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Rome."}, {"type": "summary_text", "text": "Then Bern."}],
}
REFUSED = {"type": "refusal", "refusal": "I would rather not."}


def answer(*output: dict[str, Any], status: str = "completed", why: str | None = None, **usage: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None if why is None else {"reason": why},
        "instructions": None,
        "metadata": {},
        "model": "gpt-x-1",
        "output": list(output or [said(text("Salve."))]),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "service_tier": "default",
        "usage": {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 8},
            "output_tokens": 9,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 29,
            **usage,
        },
    }


ANSWERS = {
    "text": (answer(), "stop"),
    "texts": (answer(said(text("Salve, "), text("amice.")), said(text(" Vale."), identity="msg_2")), "stop"),
    "cut": (answer(status="incomplete", why="max_output_tokens"), "length"),
    "of tomorrow": (answer(status="incomplete", why="of_tomorrow"), "of_tomorrow"),
    "calls": (answer(THOUGHT, made("a", "weather", '{"city": "Rome"}'), made("b", "now", "{}")), "tool_calls"),
    "both": (answer(THOUGHT, said(text("I look.")), made("a", "now", "{}")), "tool_calls"),
    "refused": (answer(said(REFUSED)), "stop"),
    "unknown item": (answer({"type": "of_tomorrow", "id": "x"}, said(text("Salve."))), "stop"),
}


def check(reply: Reply | Failure, theirs: Response, finish_reason: str) -> None:
    assert isinstance(reply, Reply)
    items = [item.to_dict() for item in theirs.output]
    refusals = [p["refusal"] for i in items if i["type"] == "message" for p in i["content"] if p["type"] == "refusal"]  # type: ignore[attr-defined,index]
    assert (reply.text or "") == (theirs.output_text or "".join(refusals))
    assert [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in reply.tool_calls] == [
        (item["call_id"], item["name"], item["arguments"]) for item in items if item["type"] == "function_call"
    ]
    thoughts = [part["text"] for item in items if item["type"] == "reasoning" for part in item["summary"]]  # type: ignore[attr-defined,index]
    assert (reply.reasoning or "") == "\n\n".join(thoughts)
    assert (reply.model, reply.finish_reason) == (theirs.model, finish_reason)
    assert reply.usage is not None
    assert theirs.usage is not None
    assert (reply.usage.input, reply.usage.output) == (theirs.usage.input_tokens, theirs.usage.output_tokens)
    assert reply.usage.cached == theirs.usage.input_tokens_details.cached_tokens
    assert reply.usage.reasoning == theirs.usage.output_tokens_details.reasoning_tokens
    assert reply.usage.service_tier == "standard"


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_read_as_the_client_reads_them(name: str) -> None:
    document, finish_reason = ANSWERS[name]
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, document))
        reply, theirs = by_us(server), by_the_client(server)
    check(reply, theirs, finish_reason)
    assert isinstance(reply, Reply)
    assert reply.provider_request_id == theirs.id


def halves(value: str) -> list[str]:
    return [value[: len(value) // 2], value[len(value) // 2 :]]


def item_events(place: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    at = {"output_index": place, "item_id": item.get("id")}
    bare = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
    found = [
        {"type": "response.output_item.added", "output_index": place, "item": {**item, **bare.get(item["type"], {})}}
    ]
    if item["type"] == "message":
        for n, part in enumerate(item["content"]):
            member = "text" if part["type"] == "output_text" else "refusal"
            kind, where = part["type"], {**at, "content_index": n}
            found.append({"type": "response.content_part.added", **where, "part": {**part, member: ""}})
            deltas = halves(part[member])
            found += [{"type": f"response.{kind}.delta", **where, "delta": d, "logprobs": []} for d in deltas]
            found.append({"type": f"response.{kind}.done", **where, member: part[member], "logprobs": []})
            found.append({"type": "response.content_part.done", **where, "part": part})
    elif item["type"] == "reasoning":
        for n, part in enumerate(item["summary"]):
            where = {**at, "summary_index": n}
            deltas = halves(part["text"])
            found += [{"type": "response.reasoning_summary_text.delta", **where, "delta": d} for d in deltas]
    elif item["type"] == "function_call":
        deltas = halves(item["arguments"])
        found += [{"type": "response.function_call_arguments.delta", **at, "delta": d} for d in deltas]
        done = {"name": item["name"], "arguments": item["arguments"]}
        found.append({"type": "response.function_call_arguments.done", **at, **done})
    return [*found, {"type": "response.output_item.done", "output_index": place, "item": item}]


def stream_of(document: dict[str, Any], *, end: bool = True) -> bytes:
    begun = {**document, "status": "in_progress", "output": [], "usage": None}
    events = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}]
    for place, item in enumerate(document["output"]):
        events += item_events(place, item)
    if end:
        events.append({"type": f"response.{document['status']}", "response": document})
    numbered = ({**event, "sequence_number": n} for n, event in enumerate(events))
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in numbered)


@pytest.mark.parametrize("name", sorted(ANSWERS.keys() - {"unknown item", "cut", "of tomorrow"}))
def test_streams_are_read_as_the_client_reads_them(name: str) -> None:
    document, finish_reason = ANSWERS[name]
    heard: list[Delta] = []
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, stream_of(document), EVENT_STREAM))
        reply, theirs = by_us(server, heard=heard), streamed_by_the_client(server)
    check(reply, theirs, finish_reason)
    assert isinstance(reply, Reply)
    assert server.asked[0].json()["stream"] is True
    assert "".join(delta.text for delta in heard) == (reply.text or "")
    assert "".join(delta.reasoning for delta in heard) == (reply.reasoning or "")
    tools: dict[int, list[str]] = {}
    for tool in merged_tools(tool for delta in heard for tool in delta.tools):
        tools.setdefault(tool["index"], []).append(tool["arguments"])
    assert ["".join(tools[n]) for n in sorted(tools)] == [c["function"]["arguments"] for c in reply.tool_calls]


def test_an_incomplete_stream_is_an_answer_that_was_cut_at_its_limit() -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, stream_of(ANSWERS["cut"][0]), EVENT_STREAM))
        reply = by_us(server, heard=[])
    assert isinstance(reply, Reply)
    assert (reply.text, reply.finish_reason) == ("Salve.", "length")


def test_a_stream_that_breaks_off_is_counted_here() -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, stream_of(ANSWERS["text"][0], end=False), EVENT_STREAM))
        failure = by_us(server, heard=[])
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.AMBIGUOUS
    assert failure.estimated
    assert failure.usage is not None


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
        {
            "type": "response.failed",
            "response": answer(status="failed") | {"error": {"code": "rate_limit_exceeded", "message": "slow"}},
        },
    ],
)
def test_an_error_within_a_stream_has_its_class(event: dict[str, Any]) -> None:
    body = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, body, EVENT_STREAM))
        failure = by_us(server, heard=[])
    assert isinstance(failure, Failure)
    assert failure.failure_class is FailureClass.RATE_LIMITED


@pytest.mark.parametrize(
    ("document", "failure_class"),
    [
        (answer(status="incomplete", why="content_filter"), FailureClass.CONTENT_FILTERED),
        (answer(status="failed") | {"error": {"code": "server_error", "message": "no"}}, FailureClass.SERVER_ERROR),
        (answer(status="in_progress"), FailureClass.AMBIGUOUS),
        (answer(status="completed") | {"output": None}, FailureClass.AMBIGUOUS),
        ({"error": {"code": "insufficient_quota", "message": "pay"}}, FailureClass.QUOTA_EXHAUSTED),
        ([], FailureClass.AMBIGUOUS),
        (b"<html>", FailureClass.AMBIGUOUS),
    ],
)
def test_what_is_no_answer_is_a_failure(document: Any, failure_class: FailureClass) -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, document))
        failure = by_us(server)
    assert isinstance(failure, Failure)
    assert failure.failure_class is failure_class


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"options": {"api": "assistants"}}, "options.api"),
        ({"options": OPTIONS, "capabilities": frozenset({Capability.EMBEDDINGS})}, "options.api"),
        ({"options": {**OPTIONS, "azure_api_version": "2024-10-21"}}, "options.api"),
    ],
)
def test_an_entry_that_cannot_be_called_is_refused(more: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        check_deployment(calls.deployment(base_url="https://x.openai.azure.com", **more))
