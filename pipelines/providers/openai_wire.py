"""OpenAI's chat-completions format: our request on the wire. What comes back is `openai_answer`'s.

Source: OpenAI API reference, "Create chat completion". `model`, `messages`, the limit on the answer, and what
is in `PASSED_ON` go over as they are.
"""

from typing import Any

import orjson

from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import MEMBERS, Request

PASSED_ON = ("temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format")

TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
"""What OpenAI calls our service tiers."""

_OF_CALL = frozenset({"id", "type", "function"})
_OF_FUNCTION = frozenset({"name", "arguments"})
_OF_CONTENT = frozenset({"text", "refusal"})


def encode(request: Request, deployment: Deployment, max_tokens_field: str, *, strict: bool = False) -> bytes:
    """The JSON body of the call; raises `orjson.JSONEncodeError` for what JSON cannot hold (a lone surrogate).

    `strict`: the server refuses members of messages that it does not know, so they are left out.
    """
    body = request.body
    messages = [_sendable(m, strict=strict) if m["role"] == "assistant" else m for m in body["messages"]]
    wire: dict[str, Any] = {"model": deployment.upstream_model, "messages": messages}
    limit = body.get("max_output_tokens")
    if limit is not None:
        wire[max_tokens_field] = limit
    for name in PASSED_ON:
        value = body.get(name)
        if value is not None and value != [] and value != {}:
            wire[name] = value
    tier = body.get("service_tier")
    if tier is not None:
        wire["service_tier"] = TIERS[tier]
    if "tools" not in wire:
        wire.pop("tool_choice", None)
    options = request.provider_options.get(deployment.provider)
    if options:
        wire.update(options)
    return orjson.dumps(wire)


def _sendable(message: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    """An earlier answer, without what is empty; where the server is strict, without what only others know."""
    sent = {
        name: value for name, value in message.items() if value is not None and not (strict and name not in MEMBERS)
    }
    if not sent.get("tool_calls"):
        sent.pop("tool_calls", None)
    elif strict:
        sent["tool_calls"] = [_known_of(call) for call in sent["tool_calls"]]
    if strict and isinstance(sent.get("content"), list):
        sent["content"] = [part for part in sent["content"] if part["type"] in _OF_CONTENT]
    if not sent.get("content") and "tool_calls" not in sent:
        sent["content"] = ""
    return sent


def _known_of(call: dict[str, Any]) -> dict[str, Any]:
    function = {name: value for name, value in call["function"].items() if name in _OF_FUNCTION}
    return {"type": "function", **{name: call[name] for name in call if name in _OF_CALL}, "function": function}
