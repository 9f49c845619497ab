import json
from typing import Any

import pytest

from pipelines.providers.anthropic_schema import taken
from pipelines.providers.anthropic_wire import encode
from pipelines.providers.wire import NotTaken
from synthralos.domain.jobs import Request
from tests.fakes import calls, conversations
from tests.fakes.conversations import NOW, TALK, WEATHER, call, image, result

DEPLOYMENT = calls.deployment("anthropic", upstream_model="claude-x")
USER = {"role": "user", "content": "hi"}


def sent(*messages: dict[str, Any], sampling: bool = False, options: Any = None, **body: Any) -> dict[str, Any]:
    request = Request("auto", {"messages": list(messages or (USER,)), **body}, {"anthropic": options or {}})
    found: dict[str, Any] = json.loads(encode(request, DEPLOYMENT, sampling=sampling))
    return found


def refused(*messages: dict[str, Any], **more: Any) -> str:
    with pytest.raises(NotTaken) as refusal:
        sent(*messages, **more)
    return str(refusal.value).partition(":")[0]


def test_the_limit_on_the_answer_is_the_requests_or_the_deployments() -> None:
    assert sent()["max_tokens"] == DEPLOYMENT.max_output
    assert sent(max_output_tokens=7)["max_tokens"] == 7


def test_system_texts_stand_apart_and_turns_alternate() -> None:
    body = sent(*TALK)
    assert [block["text"] for block in body["system"]] == ["Be brief.", "Answer in Latin."]
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    first, _, results, *_ = body["messages"]
    assert [block["type"] for block in first["content"]] == ["text", "image", "image"]
    assert [block["type"] for block in results["content"]] == ["tool_result", "tool_result", "text"]
    assert [block.get("tool_use_id") for block in results["content"]] == ["a", "b", None]


def test_images_come_along_or_are_fetched() -> None:
    content = sent({"role": "user", "content": [image(), image("https://example.com/a.png")]})["messages"][0]["content"]
    assert content[0]["source"] == {"type": "base64", "media_type": "image/png", "data": conversations.PIXEL}
    assert content[1]["source"] == {"type": "url", "url": "https://example.com/a.png"}


def test_calls_of_other_providers_keep_their_results() -> None:
    calls_made = {"role": "assistant", "content": None, "tool_calls": [call("call:1/x"), call("b", "now", "")]}
    said, results = sent(USER, calls_made, result("call:1/x"), result("b"))["messages"][1:]
    assert [(block["id"], block["input"]) for block in said["content"]] == [("call_1_x", {"city": "Rome"}), ("b", {})]
    assert [block["tool_use_id"] for block in results["content"]] == ["call_1_x", "b"]


def test_thoughts_go_back_unchanged_where_they_were_and_those_of_others_stay_behind() -> None:
    thoughts: list[Any] = [
        {"type": "thinking", "thinking": "first", "signature": "s1", "other": 1},
        {"type": "redacted_thinking", "data": "xx", "before_call": "b"},
        {"type": "thinking", "thinking": "unsigned"},
        {"type": "thought_signature", "signature": "google's"},
        {"type": ["odd"]},
        7,
    ]
    spoken = {"role": "assistant", "content": "ok", "thinking": thoughts, "tool_calls": [call("a"), call("b")]}
    content = sent(USER, spoken, result("a"), result("b"))["messages"][1]["content"]
    assert content[0] == {"type": "thinking", "thinking": "first", "signature": "s1"}
    assert content[3] == {"type": "redacted_thinking", "data": "xx"}
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use", "redacted_thinking", "tool_use"]


def test_thoughts_among_the_parts_of_a_content_stay_there() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    spoken = {"role": "assistant", "content": [thought, {"type": "text", "text": "ok"}, {"type": "odd"}]}
    assert sent(USER, spoken, USER)["messages"][1]["content"] == [thought, {"type": "text", "text": "ok"}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "now"}}, {"type": "tool", "name": "now"}),
    ],
)
def test_the_choice_of_a_tool_is_translated(choice: Any, expected: Any) -> None:
    assert sent(tools=[WEATHER, NOW], tool_choice=choice).get("tool_choice") == expected
    assert "tool_choice" not in sent(tools=[], tool_choice=choice)


def test_one_call_at_a_time_can_be_asked_for() -> None:
    options = {"disable_parallel_tool_use": True}
    assert sent(tools=[NOW], options=options)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert sent(tools=[NOW], tool_choice="none", options=options)["tool_choice"] == {"type": "none"}


def test_tools_have_a_schema_and_strict_ones_a_closed_one() -> None:
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}  # type: ignore[dict-item]
    plain, tight = sent(tools=[NOW, strict])["tools"]
    assert plain == {"name": "now", "input_schema": {"type": "object"}}
    assert (tight["strict"], tight["input_schema"]["additionalProperties"]) == (True, False)


def test_a_schema_is_the_form_of_the_answer_and_effort_is_beside_it() -> None:
    schema_format = {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}},
    }
    config = sent(response_format=schema_format, options={"effort": "low"})["output_config"]
    assert config["effort"] == "low"
    assert config["format"]["schema"] == {"type": "object", "properties": {}, "additionalProperties": False}
    assert "output_config" not in sent(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"seed": 0}, "seed"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_p": 0.5}, "top_p"),
        ({"options": {"top_k": 5}}, "top_k"),
        ({"temperature": 1.5, "sampling": True}, "temperature"),
        ({"temperature": 0.5, "top_p": 0.5, "sampling": True}, "top_p"),
        ({"stop": [" \n"]}, "stop"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_what_this_api_has_no_form_for_is_refused_with_its_name(body: dict[str, Any], field: str) -> None:
    assert refused(**body) == field


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([{"role": "system", "content": "alone"}], "messages"),
        ([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}],
         "messages[0].content[0]"),
        ([{"role": "user", "content": [image("data:image/tiff;base64,AA")]}], "messages[0].content[0].image_url.url"),
        ([{"role": "system", "content": [image()]}], "messages[0].content[0]"),
        ([USER, {"role": "assistant", "tool_calls": [call("a", arguments="[1]")]}],
         "messages[1].tool_calls[0].function.arguments"),
        ([USER, {"role": "assistant", "tool_calls": [call("a", arguments="{")]}],
         "messages[1].tool_calls[0].function.arguments"),
        ([USER, {"role": "tool", "content": "x"}], "messages[1].tool_call_id"),
    ],
)  # fmt: skip
def test_messages_that_this_api_has_no_form_for_are_refused_with_their_place(messages: Any, field: str) -> None:
    assert refused(*messages) == field


def test_models_that_take_sampling_get_it() -> None:
    assert sent(temperature=0.5, sampling=True, options={"top_k": 5})["temperature"] == 0.5


def test_a_schema_is_closed_and_keeps_what_it_says_as_words() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "age": {"type": "integer", "minimum": 0, "description": "in years"},
            "when": {"type": "string", "format": "date"},
            "code": {"type": "string", "format": "zip", "pattern": "^[0-9]+$"},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "uniqueItems": True},
            "of": {"oneOf": [{"type": "null"}, {"type": "object", "properties": {}}]},
            "one": {"allOf": [{"$ref": "#/$defs/tag"}], "description": "a tag"},
        },
        "$defs": {"tag": {"enum": ["a", "b"]}},
    }
    found = taken(schema)
    assert found["additionalProperties"] is False
    properties = found["properties"]
    assert properties["age"] == {"type": "integer", "description": "in years\nminimum: 0"}
    assert properties["when"] == {"type": "string", "format": "date"}
    assert properties["code"] == {"type": "string", "description": 'format: "zip"\npattern: "^[0-9]+$"'}
    tags = {"type": "array", "items": {"$ref": "#/$defs/tag"}, "minItems": 1, "description": "uniqueItems: true"}
    assert properties["tags"] == tags
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    assert properties["of"] == {"anyOf": [{"type": "null"}, closed]}
    assert properties["one"] == {"$ref": "#/$defs/tag", "description": "a tag"}
    assert found["$defs"] == {"tag": {"enum": ["a", "b"]}}
    assert "$schema" not in found


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "properties": {}, "patternProperties": {"^x": {}}},
        {"allOf": [{"type": "object", "properties": {}}, {"type": "object", "properties": {}}]},
        {"type": "object", "properties": {"a": {}}, "anyOf": [{"properties": {"b": {}}}]},
        {"type": "array", "items": {"type": "object"}},
    ],
)
def test_a_schema_that_closing_would_change_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(NotTaken):
        taken(schema)
