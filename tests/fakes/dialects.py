"""The wire protocols that the fake provider server speaks, each with its requests, answers, bills and errors."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.fakes import behaviors
from tests.fakes.behaviors import Behavior, tokens

Json = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """One protocol. `base` is what a client's base URL ends with; `path` is the route, which may name the `model`.

    `problem` says why a request is refused with 400, or None. `document` answers (request, model, behavior, number of
    the call); `billed` is what the request and the answer would cost in tokens: (input, output).
    """

    base: str
    path: str
    problem: Callable[[Json], str | None]
    document: Callable[[Json, str, Behavior, int], Json]
    billed: Callable[[Json, Json], tuple[int, int]]
    error: Callable[[str, int], Json]


def _entries(asked: Json, name: str) -> bool:
    entries = asked.get(name)
    return isinstance(entries, list) and bool(entries) and all(isinstance(entry, dict) for entry in entries)


def _openai_problem(asked: Json) -> str | None:
    if not isinstance(asked.get("model"), str):
        return "you must provide a model parameter"
    if not _entries(asked, "messages"):
        return "messages must be a non-empty array of objects"
    return None


OPENAI = Dialect(
    "/v1",
    "/v1/chat/completions",
    _openai_problem,
    lambda asked, _, behavior, number: behaviors.completion(asked, behavior, number),
    behaviors.billed_tokens,
    lambda message, status: behaviors.error(message, "invalid_request_error" if status == 400 else "server_error"),
)


def prompt_tokens(asked: Json) -> int:
    """A made-up count: of the texts in what the model would read."""
    read = {name: asked[name] for name in ("system", "systemInstruction", "messages", "contents") if name in asked}
    return tokens(json.dumps(read, ensure_ascii=False))


def _anthropic_problem(asked: Json) -> str | None:
    if not isinstance(asked.get("model"), str):
        return "model: Field required"
    if not isinstance(asked.get("max_tokens"), int):
        return "max_tokens: Field required"
    if not _entries(asked, "messages"):
        return "messages: at least one message is required"
    roles = [message.get("role") for message in asked["messages"]]
    return "messages: roles must alternate" if any(a == b for a, b in pairwise(roles)) else None


def message(asked: Json, model: str, behavior: Behavior, number: int) -> Json:
    """A message as Anthropic writes it."""
    text = f"answer {number}" if behavior.text is None else behavior.text
    content: list[Json] = [{"type": "text", "text": text, "citations": None}]
    for call in behavior.tool_calls or ():
        inputs = json.loads(call["function"]["arguments"])
        content.append({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": inputs})
    reasons = {"stop": "tool_use" if behavior.tool_calls else "end_turn", "length": "max_tokens"}
    document: Json = {
        "id": f"msg_{number:024}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": reasons.get(behavior.finish_reason, behavior.finish_reason),
        "stop_sequence": None,
    }
    if behavior.usage:
        document["usage"] = _message_usage(asked, text) if behavior.usage is True else behavior.usage
    return document


def _message_usage(asked: Json, text: str) -> Json:
    return {
        "input_tokens": prompt_tokens(asked),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": tokens(text),
        "service_tier": "standard",
    }


def _message_billed(document: Json, asked: Json) -> tuple[int, int]:
    usage = document.get("usage") or _message_usage(asked, "x")
    return usage["input_tokens"], usage["output_tokens"]


_ANTHROPIC_TYPES = {400: "invalid_request_error", 401: "authentication_error", 429: "rate_limit_error",
                    504: "timeout_error", 529: "overloaded_error"}  # fmt: skip


def anthropic_error(message: str, status: int) -> Json:
    """An error body as Anthropic writes it."""
    kind = _ANTHROPIC_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}


ANTHROPIC = Dialect("/v1", "/v1/messages", _anthropic_problem, message, _message_billed, anthropic_error)


def _google_problem(asked: Json) -> str | None:
    if not _entries(asked, "contents") or not all(_entries(content, "parts") for content in asked["contents"]):
        return "* GenerateContentRequest.contents: contents is not specified"
    return None


def candidates(asked: Json, model: str, behavior: Behavior, number: int) -> Json:
    """An answer of generateContent as Google writes it: counts that are 0 are left out."""
    text = f"answer {number}" if behavior.text is None else behavior.text
    parts: list[Json] = [{"text": text}]
    for call in behavior.tool_calls or ():
        arguments = json.loads(call["function"]["arguments"])
        parts.append({"functionCall": {"name": call["function"]["name"], "args": arguments}})
    reasons = {"stop": "STOP", "length": "MAX_TOKENS"}
    reason = reasons.get(behavior.finish_reason, behavior.finish_reason)
    document: Json = {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": reason, "index": 0}],
        "modelVersion": model,
        "responseId": f"response{number}",
    }
    if behavior.usage:
        document["usageMetadata"] = _google_usage(asked, text) if behavior.usage is True else behavior.usage
    return document


def _google_usage(asked: Json, text: str) -> Json:
    prompt, answer = prompt_tokens(asked), tokens(text)
    counts = {"promptTokenCount": prompt, "candidatesTokenCount": answer, "totalTokenCount": prompt + answer}
    return {name: number for name, number in counts.items() if number}


def _google_billed(document: Json, asked: Json) -> tuple[int, int]:
    usage = document.get("usageMetadata") or _google_usage(asked, "x")
    return usage["promptTokenCount"], usage.get("candidatesTokenCount", 0)


_GOOGLE_STATUSES = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
                    503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip


def google_error(message: str, status: int, *details: Json) -> Json:
    """An error body as Google writes it."""
    named = _GOOGLE_STATUSES.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": named, "details": list(details)}}


GOOGLE = Dialect("/v1", "/v1/models/{model}:generateContent", _google_problem, candidates, _google_billed, google_error)

DIALECTS = (OPENAI, ANTHROPIC, GOOGLE)
