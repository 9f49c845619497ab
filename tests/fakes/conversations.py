"""Requests that use all that a job may hold, for tests of how providers are asked."""

from typing import Any

from synthralos.domain.jobs import Request

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
"""The beginning of a picture of one pixel, in Base64."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
NOW = {"type": "function", "function": {"name": "now"}}


def call(identity: str, name: str = "weather", arguments: str = '{"city": "Rome"}', **more: Any) -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def result(identity: str, content: Any = "sunny") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def image(url: str = f"data:image/png;base64,{PIXEL}") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image()]},
    {"role": "user", "content": [image("https://example.com/cat.jpg"), {"type": "text", "text": " "}]},
    {"role": "assistant", "content": "I shall look.", "tool_calls": [call("a"), call("b", "now", "")]},
    result("a"),
    result("b", [{"type": "text", "text": "noon"}]),
    {"role": "developer", "content": [{"type": "text", "text": "Answer in Latin."}]},
    {"role": "user", "content": "Well?", "name": "ann"},
    {"role": "assistant", "content": None, "refusal": "I would rather not."},
    {"role": "user", "content": "Please."},
]

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {"messages": [{"role": "user", "content": "hi"}]},
    "talk": {"messages": TALK, "tools": [WEATHER, NOW], "tool_choice": "auto"},
    "no tool": {"messages": TALK, "tools": [WEATHER, NOW], "tool_choice": "none"},
    "some tool": {"messages": TALK[:2], "tools": [WEATHER], "tool_choice": "required"},
    "one tool": {
        "messages": TALK[:2],
        "tools": [WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    },
    "schema": {
        "messages": TALK[:1] + TALK[-1:],
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}},
    },
    "limits": {
        "messages": [{"role": "user", "content": "hi"}],
        "stop": ["END", "\n\nQ:"],
        "max_output_tokens": 77,
    },
}
"""Bodies of requests that every adapter takes, by what they are about."""


def request(name: str, provider_options: dict[str, Any] | None = None, **more: Any) -> Request:
    return Request("auto", {**REQUESTS[name], **more}, provider_options or {})
