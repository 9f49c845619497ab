"""Streams of the providers, in the shapes in which they come: recorded from their references and servers."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def sse(events: Iterable[Mapping[str, Any] | str], *, named: bool = False, end: str = "\n") -> bytes:
    """Events as bytes; `named`: each has the name of its `type`, as Anthropic's have."""
    frames = []
    for event in events:
        data = event if isinstance(event, str) else json.dumps(event)
        name = f"event: {event['type']}{end}" if named and isinstance(event, Mapping) else ""
        frames.append(f"{name}data: {data}{end}{end}")
    return "".join(frames).encode()


def chunk(delta: Mapping[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a chat completion; without a delta it has no choice, as the one with the usage has none."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1796000000, "model": "m-2026",
        "service_tier": "default", "system_fingerprint": "fp_1", "choices": choices, "usage": None, **more,
    }  # fmt: skip


OPENAI_USAGE = {
    "prompt_tokens": 17, "completion_tokens": 9, "total_tokens": 26,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
}  # fmt: skip


def of_completion(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any] | str]:
    """The stream of a whole chat completion, word by word."""
    head = {name: document[name] for name in ("id", "created", "model")}
    [choice] = document["choices"]
    yield chunk({"role": "assistant", "content": ""}, **head)
    for word in re.findall(r"\s*\S+", choice["message"]["content"] or ""):
        yield chunk({"content": word}, **head)
    yield chunk({}, choice["finish_reason"], **head)
    yield chunk(usage=document.get("usage"), **head)
    yield "[DONE]"


def _call(index: int, arguments: str, call_id: str | None = None, name: str | None = None) -> dict[str, Any]:
    first = {} if call_id is None else {"id": call_id, "type": "function"}
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, **first, "function": function}


OPENAI: Mapping[str, list[dict[str, Any] | str]] = {
    "text": [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": text}) for text in ("Sal", "ve, ", "müde ", "Welt \U0001f30d", ".")),
        chunk({}, "stop"), chunk(usage=OPENAI_USAGE), "[DONE]",
    ],
    "reasoning": [
        chunk({"role": "assistant", "content": None, "reasoning_content": "Let me "}),
        chunk({"reasoning_content": "think."}), chunk({"content": "Four."}),
        chunk({}, "stop"), chunk(usage=OPENAI_USAGE), "[DONE]",
    ],
    "tools": [
        chunk({"role": "assistant", "content": None}),
        chunk({"tool_calls": [_call(0, "", "call_a", "weather")]}),
        chunk({"tool_calls": [_call(0, '{"city":')]}), chunk({"tool_calls": [_call(0, '"Rome"}')]}),
        chunk({"tool_calls": [_call(1, "", "call_b", "now")]}), chunk({"tool_calls": [_call(1, "{}")]}),
        chunk({}, "tool_calls"), chunk(usage=OPENAI_USAGE), "[DONE]",
    ],
    "refusal": [
        chunk({"role": "assistant", "content": None, "refusal": "I "}), chunk({"refusal": "won't."}),
        chunk({}, "stop"), chunk(usage=OPENAI_USAGE), "[DONE]",
    ],
}  # fmt: skip


def _start(**usage: Any) -> dict[str, Any]:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 12, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 5,
                  "output_tokens": 1, "service_tier": "standard", **usage},
    }  # fmt: skip
    return {"type": "message_start", "message": message}


def _block(index: int, block: Mapping[str, Any], *deltas: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def _text(*pieces: str) -> list[dict[str, Any]]:
    return [{"type": "text_delta", "text": piece} for piece in pieces]


def _end(reason: str, **usage: Any) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    told = {"output_tokens": 31, **usage}
    return [{"type": "message_delta", "delta": delta, "usage": told}, {"type": "message_stop"}]


ANTHROPIC: Mapping[str, list[dict[str, Any] | str]] = {
    "text": [
        _start(), {"type": "ping"}, *_block(0, {"type": "text", "text": ""}, *_text("Sal", "ve, ", "müde \U0001f30d.")),
        *_end("end_turn"),
    ],
    "thinking": [
        _start(),
        *_block(
            0, {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "Let me "}, {"type": "thinking_delta", "thinking": "think."},
            {"type": "signature_delta", "signature": "c2lnbmVk"},
        ),
        *_block(1, {"type": "redacted_thinking", "data": "AAAA"}),
        *_block(2, {"type": "text", "text": ""}, *_text("Four.")),
        *_end("max_tokens", input_tokens=12, cache_read_input_tokens=5, cache_creation_input_tokens=3),
    ],
    "tools": [
        _start(), *_block(0, {"type": "text", "text": ""}, *_text("I look.")),
        *_block(
            1, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
            {"type": "input_json_delta", "partial_json": ""}, {"type": "input_json_delta", "partial_json": '{"city": '},
            {"type": "input_json_delta", "partial_json": '"Rome"}'},
        ),
        *_block(2, {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}),
        *_end("tool_use"),
    ],
}  # fmt: skip


def part(*parts: Mapping[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One event of Google's: an answer with what is new."""
    ended = {} if finish is None else {"finishReason": finish}
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0, **ended}
    usage = {"promptTokenCount": 8, "totalTokenCount": 8}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "g-1", "responseId": "r1", **more}


GOOGLE_USAGE = {
    "promptTokenCount": 8, "candidatesTokenCount": 6, "thoughtsTokenCount": 4, "totalTokenCount": 18,
    "cachedContentTokenCount": 2,
}  # fmt: skip

GOOGLE: Mapping[str, list[dict[str, Any] | str]] = {
    "text": [
        part({"text": "Sal"}), part({"text": "ve, "}), part({"text": "müde \U0001f30d."}),
        part({"text": ""}, finish="STOP", usageMetadata=GOOGLE_USAGE),
    ],
    "thoughts": [
        part({"text": "Let me ", "thought": True}), part({"text": "think.", "thought": True}),
        part({"text": "Four."}), part({"text": "", "thoughtSignature": "c2ln"}),
        part(finish="MAX_TOKENS", usageMetadata=GOOGLE_USAGE),
    ],
    "tools": [
        part({"text": "I look."}),
        part({"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "c2ln"}),
        part({"functionCall": {"name": "now", "args": {}, "id": "own"}}),
        part({"text": ""}, finish="STOP", usageMetadata=GOOGLE_USAGE),
    ],
}  # fmt: skip


def _response(status: str, output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    usage = {
        "input_tokens": 9, "output_tokens": 5, "total_tokens": 14,
        "input_tokens_details": {"cached_tokens": 2}, "output_tokens_details": {"reasoning_tokens": 1},
    }  # fmt: skip
    return {"id": "resp_1", "model": "m", "status": status, "output": output, "usage": usage, **more}


def _said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


_CALLS = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"a": 1}'}
_BEGUN = {"type": "response.created", "response": _response("in_progress", [], usage=None)}

RESPONSES: Mapping[str, list[dict[str, Any] | str]] = {
    "text": [
        _BEGUN,
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Name "},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "rivers"},
        {"type": "response.output_item.done", "output_index": 0, "item": _said("Name rivers")},
        {"type": "response.completed", "response": _response("completed", [_said("Name rivers")])},
    ],
    "thoughts and a call": [
        _BEGUN,
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "hm"},
        {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 1, "delta": "so"},
        {"type": "response.output_item.added", "output_index": 1, "item": {**_CALLS, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a"'},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": ": 1}"},
        {"type": "response.output_item.done", "output_index": 1, "item": _CALLS},
        {"type": "response.completed", "response": _response("completed", [_CALLS])},
    ],
    "cut at its limit": [
        _BEGUN,
        {"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "No"},
        {
            "type": "response.incomplete",
            "response": _response("incomplete", [_said("No")], incomplete_details={"reason": "max_output_tokens"}),
        },
    ],
    "an error in the middle": [
        _BEGUN,
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Na"},
        {"type": "error", "code": "server_error", "message": "out of order", "param": None},
    ],
    "one that failed": [
        _BEGUN,
        {"type": "response.failed", "response": _response("failed", [], error={"message": "x"})},
    ],
    "without an end": [
        _BEGUN,
        {"type": "response.output_item.added", "output_index": 0, "item": _CALLS},
        "[DONE]",
    ],
}  # fmt: skip
