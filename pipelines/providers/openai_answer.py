"""What a server of chat completions answered with status 200, as a `Reply` or a `Failure`.

The answer was paid for, so it is kept if any reading of it makes sense; where none does, its usage is booked all the
same. Status 200 is not success: some servers and gateways put their errors there.
Source: OpenAI API reference, "The chat completion object", and what others make of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from pipelines.providers import legible
from pipelines.providers.answers import failure_in, name_in, not_an_answer, read_object, request_id, withheld
from pipelines.providers.counting import tier_in
from pipelines.providers.openai_usage import read_usage
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.money import Usage

_TEXTS = ("text", "content", "value", "output_text", "parts")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking"})


def decode(body: bytes, headers: Mapping[str, str], *, thoughts_beside: bool = False) -> Reply | Failure:
    """The completion in the body of an answer of status 200. `headers` are those of the answer, in lower case.

    What is neither a completion nor an error is ambiguous: the provider did something, and may have billed it.
    `thoughts_beside`: see `read_usage`.
    """
    document = read_object(body, headers, partial(read_usage, thoughts_beside=thoughts_beside))
    if isinstance(document, Failure):
        return document
    choice = _first_choice(document)
    usage = billed_at(document, read_usage(_raw_usage(document, choice), thoughts_beside=thoughts_beside))
    message = _message(choice)
    finish_reason = name_in(choice.get("finish_reason"))
    if finish_reason == "content_filter":
        return withheld("", usage)
    reply = None if message is None else _reply(message)
    failed = choice.get("error") or document.get("error")
    if finish_reason == "error" or (failed and (choice.get("error") or reply is None or _is_empty(reply))):
        return failure_in({"error": failed or {}}, headers, usage)
    if reply is None:
        return not_an_answer(document, headers, usage, "the answer has no choices[0].message")
    reply.usage, reply.finish_reason = usage, finish_reason
    reply.model = name_in(document.get("model"))
    reply.provider_request_id = request_id(headers, document.get("id"))
    return reply


def _reply(sent: dict[str, Any]) -> Reply:
    message = legible.writable(sent)
    content, reasoning = message.get("content"), next(filter(None, map(message.get, _REASONING)), None)
    if reasoning is None and isinstance(content, list):
        reasoning = [part for part in content if _is_thought(part)]
        content = [part for part in content if not _is_thought(part)]
    text = _text(content)
    refusal = _text(message.get("refusal"))
    return Reply(
        text=refusal if text is None else text,
        usage=None,
        tool_calls=_tool_calls(message),
        reasoning=_text(reasoning) or None,
    )


def _is_empty(reply: Reply) -> bool:
    return not reply.text and not reply.tool_calls


def _is_thought(part: object) -> bool:
    return isinstance(part, dict) and str(part.get("type")) in _THOUGHTS


def _text(content: object) -> str | None:
    """The text of a content, in whatever parts it comes; None where there is none."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [text for text in map(_text, content) if text is not None]
        return "".join(texts) if texts else None
    if isinstance(content, dict):
        found = [content[name] for name in (*_TEXTS, *_REASONING) if content.get(name) is not None]
        return _text(found[0]) if found else None
    return str(content)


def _tool_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls in the form in which they can be sent back: each with an id, a type, and its arguments as text."""
    calls = message.get("tool_calls") or message.get("function_call") or []
    calls = [calls] if isinstance(calls, dict) else calls
    if not isinstance(calls, list):
        return []
    return [_tool_call(call, number) for number, call in enumerate(calls) if isinstance(call, dict)]


def _tool_call(call: dict[str, Any], number: int) -> dict[str, Any]:
    function = call.get("function") if isinstance(call.get("function"), dict) else None
    if function is None and "name" not in call:  # a tool of the provider's own
        return call
    function = dict(function) if function is not None else {"name": call["name"], "arguments": call.get("arguments")}
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        function["arguments"] = legible.as_text({} if arguments is None else arguments)
    function["name"] = str(function.get("name") or "")
    others = {
        name: value for name, value in call.items() if name not in ("id", "type", "function", "name", "arguments")
    }
    return {"id": str(call.get("id") or f"call_{number}"), "type": "function", "function": function, **others}


def _first_choice(document: dict[str, Any]) -> dict[str, Any]:
    """The first choice; the document itself where it has the message of one (Ollama's own form does)."""
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else choices
    if isinstance(first, dict):
        return first
    return document if isinstance(document.get("message"), dict) and not document.get("error") else {}


def _message(choice: dict[str, Any]) -> dict[str, Any] | None:
    message = choice.get("message") or choice.get("delta")
    if message is None and isinstance(choice.get("text"), str):  # the older completions
        message = choice["text"]
    if isinstance(message, str):
        return {"content": message}
    if isinstance(message, dict) and ("code" not in message or message.keys() & {"role", "content", "tool_calls"}):
        return message
    return {} if choice.get("message") == {} else None


def billed_at(document: dict[str, Any], usage: Usage | None) -> Usage | None:
    """The usage with the service tier that the answer names."""
    tier = tier_in(document.get("service_tier"))
    return usage if usage is None or tier is None else replace(usage, service_tier=tier)


def _raw_usage(document: dict[str, Any], choice: dict[str, Any]) -> object:
    places = (document, choice, document.get("x_groq"))
    return next((p["usage"] for p in places if isinstance(p, dict) and p.get("usage")), None)
