"""OpenAI's Responses API: our request on the wire. What comes back is `responses_answer`'s.

Source: OpenAI API reference, "Create a model response". Nothing is stored there: `store` is false.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson

from pipelines.providers.conversation import not_taken
from pipelines.providers.openai_wire import TIERS
from pipelines.providers.wire import NotTaken
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request

Item = dict[str, Any]

_AS_THEY_ARE = ("max_output_tokens", "temperature", "top_p")
_OPTIONS = frozenset(
    {"parallel_tool_calls", "user", "safety_identifier", "prompt_cache_key", "reasoning", "top_logprobs"}
)
"""Provider options that go along under their own names."""


def encode(request: Request, deployment: Deployment, widened: Collection[str] = ()) -> bytes:
    """The JSON body of the call; raises `NotTaken` for what this API has no form for."""
    body = request.body
    for name in ("stop", "seed"):
        if body.get(name) is not None:
            raise NotTaken(f"{name}: the Responses API has none; leave it out")
    rules, talk = _instructions(body["messages"])
    wire = {
        "model": deployment.upstream_model,
        "instructions": rules,
        "input": [item for number, message in talk for item in _items(message, f"messages[{number}]")],
        **{name: body.get(name) for name in _AS_THEY_ARE},
        **_tools(body),
        "text": _text(body) or None,
        "service_tier": None if body.get("service_tier") is None else TIERS[body["service_tier"]],
    }
    found = {name: value for name, value in wire.items() if value is not None}
    if not found["input"]:
        raise NotTaken("messages: this API needs a message besides the system's; add one")
    return orjson.dumps(_with_options(found, request, deployment, widened) | {"store": False})


def _with_options(wire: Item, request: Request, deployment: Deployment, widened: Collection[str]) -> Item:
    for name, value in (request.provider_options.get(deployment.provider) or {}).items():
        if name == "reasoning_effort":
            wire["reasoning"] = {**wire.get("reasoning", {}), "effort": value}
        elif name == "verbosity":
            wire["text"] = {**wire.get("text", {}), "verbosity": value}
        elif name == "reasoning":
            wire["reasoning"] = {**value, **wire.get("reasoning", {})}
        elif name in _OPTIONS or name in widened:
            wire[name] = value
        else:
            raise NotTaken(f"provider_options.{deployment.provider}.{name}: the Responses API has none; leave it out")
    return wire


def _instructions(messages: list[Item]) -> tuple[str | None, list[tuple[int, Item]]]:
    """The system messages that come first, as the instructions; all others, each with its place."""
    first = next((n for n, message in enumerate(messages) if message["role"] != "system"), len(messages))
    texts = [_only_text(message, f"messages[{n}]") for n, message in enumerate(messages[:first])]
    return "\n\n".join(filter(None, texts)) or None, list(enumerate(messages))[first:]


def _items(message: Item, place: str) -> Iterator[Item]:
    role = message["role"]
    if role == "tool":
        output = _only_text(message, place)
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id") or "", "output": output}
        return
    if role == "assistant":
        said = _only_text(message, place) or message.get("refusal") or ""
        if said:
            yield {"role": "assistant", "content": said}
        yield from map(_call, message.get("tool_calls") or ())
        return
    content = message.get("content") or ()
    parts = content if isinstance(content, str) else [_part(p, f"{place}.content[{n}]") for n, p in enumerate(content)]
    yield {"role": role, "content": parts}


def _call(call: Mapping[str, Any]) -> Item:
    function = call["function"]
    arguments = function["arguments"] or "{}"
    return {"type": "function_call", "call_id": call["id"], "name": function["name"], "arguments": arguments}


def _part(part: Mapping[str, Any], place: str) -> Item:
    if part["type"] == "text":
        return {"type": "input_text", "text": part["text"]}
    if part["type"] != "image_url":
        raise not_taken(part, place)
    image = part["image_url"]
    return {"type": "input_image", "image_url": image["url"], "detail": image.get("detail") or "auto"}


def _only_text(message: Mapping[str, Any], place: str) -> str:
    """The text of a content; of an earlier answer, without what only other servers can read."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for number, part in enumerate(content):
        if part["type"] in ("text", "refusal"):
            texts.append(part[part["type"]])
        elif message["role"] != "assistant":
            raise not_taken(part, f"{place}.content[{number}]")
    return "".join(texts)


def _text(body: Mapping[str, Any]) -> Item:
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_object":
        return {"format": {"type": "json_object"}}
    if wanted.get("type") != "json_schema":
        return {}
    given = {name: value for name, value in wanted["json_schema"].items() if value is not None}
    return {"format": {"type": "json_schema", "schema": {}, **given}}


def _tools(body: Mapping[str, Any]) -> Item:
    tools = [_tool(tool["function"]) for tool in body.get("tools") or ()]
    if not tools:
        return {}
    chosen = body.get("tool_choice")
    if isinstance(chosen, dict):
        chosen = {"type": "function", "name": chosen["function"]["name"]}
    return {"tools": tools, "tool_choice": chosen}


def _tool(function: Mapping[str, Any]) -> Item:
    """A tool; this API would make it strict where chat completions would not."""
    found = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "parameters": {"type": "object", "properties": {}}, "strict": False, **found}
