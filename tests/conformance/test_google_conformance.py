"""Google's own client is the judge: its types of what is sent, its reading of the same bytes of what comes back."""

import asyncio
import json
from typing import Any

import pytest
from google import genai
from google.genai import types
from pydantic import ValidationError

from pipelines.providers.google import GoogleProvider
from pipelines.providers.google_wire import encode
from pipelines.providers.protocol import answer_to
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Request
from tests.fakes import calls, conversations
from tests.fakes.behaviors import Behavior
from tests.fakes.dialects import candidates
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server

DEPLOYMENT = calls.deployment("google")
OPTIONS = {
    "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 100},
    "topK": 3,
    "presencePenalty": 0.5,
    "mediaResolution": "MEDIA_RESOLUTION_LOW",
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}],
}


def sent(request: Request) -> Any:
    return json.loads(encode(request, DEPLOYMENT))


def judged(model: Any, value: Any) -> Any:
    """The value as the client would write it: unknown members are refused by its types."""
    return model.model_validate_json(json.dumps(value)).model_dump(mode="json", by_alias=True, exclude_none=True)


def judged_whole(body: dict[str, Any]) -> dict[str, Any]:
    lists = {"contents": types.Content, "tools": types.Tool, "safetySettings": types.SafetySetting}
    single = {
        "systemInstruction": types.Content,
        "generationConfig": types.GenerationConfig,
        "toolConfig": types.ToolConfig,
    }
    assert body.keys() <= lists.keys() | single.keys()
    whole = {name: [judged(lists[name], each) for each in value] for name, value in body.items() if name in lists}
    return whole | {name: judged(single[name], value) for name, value in body.items() if name in single}


@pytest.mark.parametrize("options", [{}, {"google": OPTIONS}])
@pytest.mark.parametrize("name", conversations.REQUESTS)
def test_what_is_sent_has_the_types_of_the_client_and_no_other_member(name: str, options: dict[str, Any]) -> None:
    body = sent(conversations.request(name, options))
    assert judged_whole(body) == body


def test_signatures_that_go_back_have_the_types_of_the_client() -> None:
    signed = conversations.call("a", extra_content={"google": {"thought_signature": "c2ln"}})
    kept = [{"type": "thought_signature", "signature": "AAAA"}]
    spoken = {"role": "assistant", "content": "ok", "thinking": kept, "tool_calls": [signed]}
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    messages = [{"role": "user", "content": [audio]}, spoken, conversations.result("a")]
    body = sent(Request("auto", {"messages": messages, "tools": [conversations.WEATHER]}))
    assert judged_whole(body) == body
    assert [part["thoughtSignature"] for part in body["contents"][1]["parts"]] == ["AAAA", "c2ln"]


def test_the_judge_sees_what_is_wrong() -> None:
    body = sent(conversations.request("limits"))
    with pytest.raises(ValidationError):
        judged_whole({"generationConfig": {**body["generationConfig"], "n": 2}})


def test_what_is_sent_is_what_the_client_sends() -> None:
    request = conversations.request("schema", temperature=0.5, top_p=0.9, stop="END", max_output_tokens=9, seed=3)
    body = sent(request)
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, candidates({"contents": []}, "model", Behavior(), 1)))
        by_us(server, request)
        config = {**body["generationConfig"], "systemInstruction": body["systemInstruction"]}
        by_the_client(server, body["contents"], config)
    ours, theirs = server.asked
    assert (ours.path, ours.json()) == (theirs.path, theirs.json())
    assert ours.headers["x-goog-api-key"] == theirs.headers["x-goog-api-key"]


def by_us(server: ScriptedServer, request: Request | None = None) -> Reply | Failure:
    async def scenario() -> Reply | Failure:
        deployment = calls.deployment("google", base_url=f"{server.url}/v1")
        provider = GoogleProvider(calls.credentials(deployment))
        try:
            return await answer_to(calls.call(deployment, request), provider.begin)
        finally:
            await provider.close()

    return asyncio.run(scenario())


def by_the_client(
    server: ScriptedServer, contents: Any = "hi", config: dict[str, Any] | None = None
) -> types.GenerateContentResponse:
    options = types.HttpOptions(base_url=server.url)
    with genai.Client(api_key=calls.KEY, vertexai=False, http_options=options) as client:
        given = None if config is None else types.GenerateContentConfig.model_validate(config)
        return client.models.generate_content(model="model", contents=contents, config=given)


def answer(*parts: dict[str, Any], reason: str = "STOP", **usage: int) -> dict[str, Any]:
    content = {"parts": [{"text": "Salve."}, *parts], "role": "model"}
    return {
        "candidates": [{"content": content, "finishReason": reason, "index": 0}],
        "modelVersion": "gemini-x-1",
        "responseId": "r7",
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7, **usage},
    }


CALLS = [
    {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Rome", "days": [1, 2.5, None]}}},
    {"functionCall": {"name": "now"}, "thoughtSignature": "c2ln"},
]


@pytest.mark.parametrize(
    ("document", "finish_reason"),
    [
        (answer(), "stop"),
        (answer(reason="MAX_TOKENS"), "length"),
        (answer(*CALLS), "tool_calls"),
        (answer({"text": "Hm.", "thought": True}, thoughtsTokenCount=9, totalTokenCount=16), "stop"),
        (answer({"text": " Vale.", "thoughtSignature": "AAAA"}), "stop"),
        (answer(cachedContentTokenCount=3), "stop"),
        (answer(toolUsePromptTokenCount=4, totalTokenCount=11), "stop"),
        (answer(reason="OTHER"), "OTHER"),
    ],
)
def test_answers_are_read_as_the_client_reads_them(document: dict[str, Any], finish_reason: str) -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(200, document))
        reply, theirs = by_us(server), by_the_client(server)
    assert isinstance(reply, Reply)
    assert theirs.candidates is not None
    assert theirs.candidates[0].content is not None
    parts = theirs.candidates[0].content.parts or []
    assert reply.text == "".join(part.text or "" for part in parts if not part.thought)
    assert reply.reasoning == ("".join(part.text or "" for part in parts if part.thought) or None)
    assert [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in reply.tool_calls] == [
        (call.name, call.args or {}) for call in theirs.function_calls or []
    ]
    assert [call["id"] for call in reply.tool_calls][:1] == [call.id for call in theirs.function_calls or []][:1]
    assert (reply.model, reply.provider_request_id) == (theirs.model_version, theirs.response_id)
    assert reply.finish_reason == finish_reason
    usage = theirs.usage_metadata
    assert reply.usage is not None
    assert usage is not None
    assert reply.usage.input == (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
    assert reply.usage.output == (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    assert reply.usage.cached == (usage.cached_content_token_count or 0)
    assert reply.usage.reasoning == (usage.thoughts_token_count or 0)
    assert reply.usage.input + reply.usage.output == usage.total_token_count
