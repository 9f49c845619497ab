"""Anthropic's messages: our request on the wire. What comes back is `anthropic_answer`'s.

Source: Anthropic API reference, "Create a Message".
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from pipelines.providers.anthropic_schema import taken
from pipelines.providers.conversation import (
    Block,
    Place,
    Turn,
    answer_schema,
    arguments,
    blocks,
    image_url,
    kept_thoughts,
    merged,
    not_taken,
    refusal_or_content,
    stops,
    system_texts,
    talk,
)
from pipelines.providers.wire import NotTaken
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request

THOUGHTS: Mapping[str, tuple[str, ...]] = {
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
}
"""The members of thoughts by their type: they are signed, and go back as they came."""

BEFORE_CALL = "before_call"
"""Beside a kept thought: the id of the tool call that it came before, where it was not the first of its answer."""

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TOOL_CHOICES = {"none": {"type": "none"}, "auto": {"type": "auto"}, "required": {"type": "any"}}
_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")


NO_SEED = "seed: this API has none; leave it out"
SCHEMA_ALONE = "response_format: this API takes JSON by a schema alone; send json_schema with one"


def no_sampling(name: str) -> str:
    """Why a model without sampling does not take the parameter `name`."""
    return f"{name}: this model takes none; leave it out"


def encode(request: Request, deployment: Deployment, *, sampling: bool = False) -> bytes:
    """The JSON body of the call; raises `NotTaken` for what this API has no form for.

    `sampling`: whether the model takes `temperature`, `top_p` and the option `top_k`.
    """
    body = request.body
    options = dict(request.provider_options.get(deployment.provider) or {})
    one_call, effort = options.pop("disable_parallel_tool_use", None), options.pop("effort", None)
    sampled = {"temperature": body.get("temperature"), "top_p": body.get("top_p"), "top_k": options.pop("top_k", None)}
    if body.get("seed") is not None:
        raise NotTaken(NO_SEED)
    system = [{"type": "text", "text": text} for text in system_texts(body["messages"])]
    config = {"effort": effort, "format": _format(body)}
    found = {
        "model": deployment.upstream_model,
        "max_tokens": request.max_output_tokens or deployment.max_output,
        "messages": [{"role": role, "content": turn} for role, turn in merged(_turns(body["messages"]))],
        "system": system or None,
        "stop_sequences": stops(body) or None,
        "output_config": {name: value for name, value in config.items() if value is not None} or None,
        **_sampling(sampled, sampling=sampling),
        **_tools(body, one_call),
        **options,
    }
    return orjson.dumps({name: value for name, value in found.items() if value is not None})


def _sampling(wanted: Mapping[str, Any], *, sampling: bool) -> dict[str, Any]:
    given = {name: value for name, value in wanted.items() if value is not None}
    if given and not sampling:
        raise NotTaken(no_sampling(next(iter(given))))
    if given.keys() >= {"temperature", "top_p"}:
        raise NotTaken("top_p: this API takes it only without temperature; leave one out")
    if given.get("temperature", 0) > 1:
        raise NotTaken("temperature: this API takes at most 1; send a smaller one")
    return given


def _format(body: Mapping[str, Any]) -> dict[str, Any] | None:
    schema, kind = answer_schema(body), (body.get("response_format") or {}).get("type", "text")
    if kind == "text":
        return None
    if schema is None:
        raise NotTaken(SCHEMA_ALONE)
    return {"type": "json_schema", "schema": taken(schema)}


def _tools(body: Mapping[str, Any], one_call: bool | None) -> dict[str, Any]:
    tools = [_tool(tool["function"]) for tool in body.get("tools") or ()]
    if not tools:
        return {}
    chosen = body.get("tool_choice") or ("auto" if one_call is not None else None)
    if chosen is None:
        return {"tools": tools}
    choice: dict[str, Any] = dict(_TOOL_CHOICES[chosen]) if isinstance(chosen, str) else _named(chosen)
    if one_call is not None and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = one_call
    return {"tools": tools, "tool_choice": choice}


def _named(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "tool", "name": chosen["function"]["name"]}


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", **(function.get("parameters") or {})}
    found = {"name": function["name"], "input_schema": schema}
    if function.get("strict"):
        found |= {"strict": True, "input_schema": taken(schema)}
    return found | ({"description": function["description"]} if function.get("description") else {})


def _turns(messages: list[dict[str, Any]]) -> Iterator[Turn]:
    for place, message in talk(messages):
        if message["role"] == "assistant":
            yield "assistant", list(_said(message, place))
        elif message["role"] == "tool":
            yield "user", [_result(message, place)]
        else:
            yield "user", list(blocks(message.get("content"), place, _text, _media))


def _said(message: Mapping[str, Any], place: Place) -> Iterator[Block]:
    """An earlier answer: its thoughts where they were, its text, its calls."""
    thoughts = kept_thoughts(message)
    calls = message.get("tool_calls") or []
    ids = {call["id"] for call in calls}
    yield from _unchanged(t for t in thoughts if t.get(BEFORE_CALL) not in ids)
    yield from blocks(refusal_or_content(message), place, _text, _own_part)
    for number, call in enumerate(calls):
        yield from _unchanged(t for t in thoughts if t.get(BEFORE_CALL) == call["id"])
        inputs = arguments(call, f"{place}.tool_calls[{number}]")
        yield {"type": "tool_use", "id": _id(call["id"]), "name": call["function"]["name"], "input": inputs}


def _unchanged(thoughts: Iterator[Mapping[str, Any]]) -> Iterator[Block]:
    """The thoughts that this provider has signed, as they came; those of others it would refuse."""
    for thought in thoughts:
        members = THOUGHTS.get(str(thought.get("type")), ())
        if members and all(isinstance(thought.get(name), str) for name in members):
            yield {name: thought[name] for name in members}


def _own_part(part: Mapping[str, Any], _: Place) -> Block | None:
    return next(_unchanged(iter([part])), None)


def _result(message: Mapping[str, Any], place: Place) -> Block:
    identity = message.get("tool_call_id")
    if not identity:
        raise NotTaken(f"{place}.tool_call_id: is missing; name the call that this is the result of")
    content = list(blocks(message.get("content"), place, _text, _media))
    return {"type": "tool_result", "tool_use_id": _id(identity), **({"content": content} if content else {})}


def _id(identity: str) -> str:
    """The id of a call that another provider may have made up, in the characters that this one takes."""
    return _NO_ID.sub("_", identity)


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _media(part: Mapping[str, Any], place: Place) -> Block | None:
    if part["type"] != "image_url":
        raise not_taken(part, place)
    kind, data = image_url(part)
    if kind is None:
        return {"type": "image", "source": {"type": "url", "url": data}}
    kind = "image/jpeg" if kind == "image/jpg" else kind
    if kind not in _IMAGES:
        raise NotTaken(f"{place}.image_url.url: this API takes {', '.join(sorted(_IMAGES))}; send one of these")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
