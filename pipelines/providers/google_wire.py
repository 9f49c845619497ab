"""Google's generateContent: our request on the wire. What comes back is `google_answer`'s.

Source: Gemini API reference, "generateContent", "Content", "GenerationConfig"; "Thought signatures".
"""

import mimetypes
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

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
from pipelines.providers.google_options import OF_EMBEDDINGS, OF_THE_REQUEST
from pipelines.providers.wire import NotTaken
from synthralos.domain.deployments import Deployment
from synthralos.domain.jobs import Request

SIGNATURE = "thought_signature"
"""The type of a kept thought that is a signature alone, of an answer's text."""

_MOST_STOPS = 5
_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY"}
_RESULTS = "tool"
"""The results of tools are a turn of the user's of their own: the API wants as many parts in it as there were calls."""


def encode(request: Request, deployment: Deployment) -> bytes:
    """The JSON body of the call; raises `NotTaken` for what this API has no form for."""
    body = request.body
    options = request.provider_options.get(deployment.provider) or {}
    if not OF_EMBEDDINGS.isdisjoint(options):
        raise NotTaken(f"provider_options.{deployment.provider}.taskType: is for embeddings; leave it out")
    system = [{"text": text} for text in system_texts(body["messages"])]
    turns = merged(_turns(body["messages"]))
    found = {
        "contents": [{"role": "user" if role == _RESULTS else role, "parts": parts} for role, parts in turns],
        "systemInstruction": {"parts": system} if system else None,
        "generationConfig": _config(request, options) or None,
        **_tools(body),
        **{name: value for name, value in options.items() if name in OF_THE_REQUEST},
    }
    return orjson.dumps({name: value for name, value in found.items() if value is not None})


def _config(request: Request, options: Mapping[str, Any]) -> dict[str, Any]:
    body, kind = request.body, (request.body.get("response_format") or {}).get("type", "text")
    seed = body.get("seed")
    if seed is not None and not -(2**31) <= seed < 2**31:
        raise NotTaken("seed: this API takes 32 bits; send a smaller one")
    found = {
        "temperature": body.get("temperature"),
        "topP": body.get("top_p"),
        "seed": seed,
        "stopSequences": stops(body, _MOST_STOPS) or None,
        "maxOutputTokens": request.max_output_tokens,
        "responseMimeType": None if kind == "text" else "application/json",
        "responseJsonSchema": answer_schema(body),
        **{name: value for name, value in options.items() if name not in OF_THE_REQUEST},
    }
    return {name: value for name, value in found.items() if value is not None}


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    tools = [_tool(tool["function"]) for tool in body.get("tools") or ()]
    if not tools:
        return {}
    chosen = body.get("tool_choice")
    if chosen is None:
        return {"tools": [{"functionDeclarations": tools}]}
    config = (
        {"mode": _MODES[chosen]}
        if isinstance(chosen, str)
        else {"mode": "ANY", "allowedFunctionNames": [chosen["function"]["name"]]}
    )
    return {"tools": [{"functionDeclarations": tools}], "toolConfig": {"functionCallingConfig": config}}


def _tool(function: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "name": function["name"],
        "description": function.get("description"),
        "parametersJsonSchema": function.get("parameters") or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _turns(messages: list[dict[str, Any]]) -> Iterator[Turn]:
    names: dict[str, str] = {}
    for place, message in talk(messages):
        if message["role"] == "assistant":
            calls = message.get("tool_calls") or []
            names |= {call["id"]: call["function"]["name"] for call in calls}
            yield "model", list(_said(message, calls, place))
        elif message["role"] == "tool":
            yield _RESULTS, [_result(message, names, place)]
        else:
            yield "user", list(blocks(message.get("content"), place, _text, _media))


def _said(message: Mapping[str, Any], calls: list[dict[str, Any]], place: Place) -> Iterator[Block]:
    """An earlier answer: its text with the signature that it came with, and its calls with theirs."""
    parts = list(blocks(refusal_or_content(message), place, _text, _other_answer))
    signature = _signature_of_text(message)
    if signature is not None:
        last = parts.pop() if parts else _text("")
        parts.append({**last, "thoughtSignature": signature})
    yield from parts
    for number, call in enumerate(calls):
        inputs = arguments(call, f"{place}.tool_calls[{number}]")
        part: Block = {"functionCall": {"id": call["id"], "name": call["function"]["name"], "args": inputs}}
        signature = signature_of(call)
        yield part if signature is None else {**part, "thoughtSignature": signature}


def signature_of(call: Mapping[str, Any]) -> str | None:
    """The signature that a tool call came with, where Google's own OpenAI-compatible answers have it, too."""
    extra = call.get("extra_content")
    own = extra.get("google") if isinstance(extra, dict) else None
    found = own.get("thought_signature") if isinstance(own, dict) else None
    return found if isinstance(found, str) and found else None


def _signature_of_text(message: Mapping[str, Any]) -> str | None:
    own = [thought.get("signature") for thought in kept_thoughts(message) if thought.get("type") == SIGNATURE]
    return own[-1] if own and isinstance(own[-1], str) else None


def _result(message: Mapping[str, Any], names: Mapping[str, str], place: Place) -> Block:
    identity = message.get("tool_call_id") or ""
    if identity not in names:
        raise NotTaken(f"{place}.tool_call_id: names no call of an earlier message; send that message, too")
    texts = blocks(message.get("content"), place, _text, _no_result)
    output = "".join(block["text"] for block in texts)
    return {"functionResponse": {"id": identity, "name": names[identity], "response": {"output": output}}}


def _text(text: str) -> Block:
    return {"text": text}


def _no_result(part: Mapping[str, Any], place: Place) -> Block | None:
    raise not_taken(part, place)


def _other_answer(_: Mapping[str, Any], __: Place) -> Block | None:
    """A part of an earlier answer that only another provider can read."""
    return None


def _media(part: Mapping[str, Any], place: Place) -> Block | None:
    if part["type"] == "input_audio":
        sound = part["input_audio"]
        return {"inlineData": {"mimeType": f"audio/{sound['format']}", "data": sound["data"]}}
    if part["type"] != "image_url":
        raise not_taken(part, place)
    kind, data = image_url(part)
    if kind is not None:
        return {"inlineData": {"mimeType": kind, "data": data}}
    kind = mimetypes.guess_type(urlsplit(data).path)[0]
    return {"fileData": {"fileUri": data, **({"mimeType": kind} if kind else {})}}
