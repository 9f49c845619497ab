import json
from typing import Any

import pytest

from pipelines.providers.google_wire import encode
from pipelines.providers.wire import NotTaken
from synthralos.domain.jobs import Request
from tests.fakes import calls, conversations
from tests.fakes.conversations import NOW, TALK, WEATHER, call, image, result

DEPLOYMENT = calls.deployment("google")
USER = {"role": "user", "content": "hi"}


def sent(*messages: dict[str, Any], options: Any = None, **body: Any) -> dict[str, Any]:
    request = Request("auto", {"messages": list(messages or (USER,)), **body}, {"google": options or {}})
    found: dict[str, Any] = json.loads(encode(request, DEPLOYMENT))
    return found


def refused(*messages: dict[str, Any], **more: Any) -> str:
    with pytest.raises(NotTaken) as refusal:
        sent(*messages, **more)
    return str(refusal.value).partition(":")[0]


def test_a_plain_request_is_its_text_alone() -> None:
    assert sent() == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_system_texts_stand_apart_and_results_of_tools_are_a_turn_of_their_own() -> None:
    body = sent(*TALK)
    assert [part["text"] for part in body["systemInstruction"]["parts"]] == ["Be brief.", "Answer in Latin."]
    roles = [content["role"] for content in body["contents"]]
    assert roles == ["user", "model", "user", "user", "model", "user"]
    results = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert results == [
        {"id": "a", "name": "weather", "response": {"output": "sunny"}},
        {"id": "b", "name": "now", "response": {"output": "noon"}},
    ]


def test_images_and_sounds_come_along_or_are_fetched() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
    parts = sent({"role": "user", "content": [image(), image("https://example.com/a.png?x=1"), sound]})
    assert parts["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": conversations.PIXEL}},
        {"fileData": {"fileUri": "https://example.com/a.png?x=1", "mimeType": "image/png"}},
        {"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}},
    ]
    unknown = sent({"role": "user", "content": [image("https://example.com/a")]})
    assert unknown["contents"][0]["parts"] == [{"fileData": {"fileUri": "https://example.com/a"}}]


def test_signatures_go_back_with_what_they_came_with_and_those_of_others_stay_behind() -> None:
    signed = call("a", extra_content={"google": {"thought_signature": "s1"}})
    thoughts = [
        {"type": "thinking", "thinking": "x", "signature": "anthropic's"},
        {"type": "thought_signature", "signature": "s0"},
    ]
    spoken = {"role": "assistant", "content": "ok", "thinking": thoughts, "tool_calls": [signed, call("b")]}
    parts = sent(USER, spoken, result("a"), result("b"))["contents"][1]["parts"]
    assert parts[0] == {"text": "ok", "thoughtSignature": "s0"}
    assert [part.get("thoughtSignature") for part in parts] == ["s0", "s1", None]
    alone = {"role": "assistant", "content": None, "thinking": thoughts, "tool_calls": [call("b")]}
    assert sent(USER, alone, result("b"))["contents"][1]["parts"][0] == {"text": "", "thoughtSignature": "s0"}


@pytest.mark.parametrize("odd", [7, "s", {"google": 7}, {"google": {}}, {"google": {"thought_signature": 7}}])
def test_signatures_that_are_none_stay_behind(odd: Any) -> None:
    thoughts = [{"type": "thought_signature", "signature": odd}]
    spoken = {"role": "assistant", "thinking": thoughts, "tool_calls": [call("a", extra_content=odd)]}
    parts = sent(USER, spoken, result("a"))["contents"][1]["parts"]
    expected = ["s"] if odd == "s" else []
    assert [part["thoughtSignature"] for part in parts if "thoughtSignature" in part] == expected


def test_parts_of_other_providers_answers_are_left_out() -> None:
    spoken = {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "ok"}]}
    assert sent(USER, spoken, USER)["contents"][1]["parts"] == [{"text": "ok"}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "now"}}, {"mode": "ANY", "allowedFunctionNames": ["now"]}),
    ],
)
def test_the_choice_of_a_tool_is_translated(choice: Any, expected: Any) -> None:
    body = sent(tools=[WEATHER, NOW], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": expected}
    weather, now = body["tools"][0]["functionDeclarations"]
    assert weather["parametersJsonSchema"]["required"] == ["city"]
    assert now == {"name": "now"}
    assert sent(tools=[], tool_choice=choice) == sent()


def test_parameters_and_options_go_where_they_belong() -> None:
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    options = {"topK": 3, "thinkingConfig": {"thinkingBudget": 0}, "safetySettings": safety}
    body = sent(options=options, temperature=2.0, top_p=0.5, seed=-1, stop="END", max_output_tokens=9)
    assert body["safetySettings"] == safety
    assert body["generationConfig"] == {
        "temperature": 2.0,
        "topP": 0.5,
        "seed": -1,
        "stopSequences": ["END"],
        "maxOutputTokens": 9,
        "topK": 3,
        "thinkingConfig": {"thinkingBudget": 0},
    }


def test_the_form_of_the_answer_is_json_or_a_schema_as_it_was_sent() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    config = sent(response_format=wanted)["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert sent(response_format={"type": "json_object"})["generationConfig"] == {"responseMimeType": "application/json"}
    assert sent(response_format={"type": "text"}) == sent()


@pytest.mark.parametrize(
    ("body", "field"),
    [({"seed": 2**31}, "seed"), ({"stop": ["a"] * 6}, "stop"), ({"stop": [""]}, "stop")],
)
def test_what_this_api_has_no_form_for_is_refused_with_its_name(body: dict[str, Any], field: str) -> None:
    assert refused(**body) == field


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([{"role": "system", "content": "alone"}], "messages"),
        ([USER, result("unknown")], "messages[1].tool_call_id"),
        ([USER, {"role": "assistant", "tool_calls": [call("a")]}, result("a", [image()])], "messages[2].content[0]"),
        ([USER, {"role": "assistant", "tool_calls": [call("a", arguments="x")]}],
         "messages[1].tool_calls[0].function.arguments"),
    ],
)  # fmt: skip
def test_messages_that_this_api_has_no_form_for_are_refused_with_their_place(messages: Any, field: str) -> None:
    assert refused(*messages) == field
