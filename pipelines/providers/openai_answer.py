"""What a server of chat completions answered with status 200, as a `Reply` or a `Failure`.

The answer was paid for, so it is kept if any reading of it makes sense; where none does, its usage is booked all the
same. Status 200 is not success: some servers and gateways put their errors there.
Source: OpenAI API reference, "The chat completion object", and what others make of it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipelines.providers import legible
from pipelines.providers.http_failures import failure_of, read_document, shown
from pipelines.providers.openai_usage import read_usage
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage

LONGEST_NAME = 200
"""Characters that are kept of what a provider calls its model, its request, or the reason of an end."""

_TEXTS = ("text", "content", "value", "output_text", "parts")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_THOUGHTS = frozenset({"reasoning", "thinking", "redacted_thinking"})


def decode(body: bytes, headers: Mapping[str, str], *, thoughts_beside: bool = False) -> Reply | Failure:
    """The completion in the body of an answer of status 200. `headers` are those of the answer, in lower case.

    What is neither a completion nor an error is ambiguous: the provider did something, and may have billed it.
    `thoughts_beside`: see `read_usage`.
    """
    document = legible.read(body, _charset(headers))
    if document is legible.UNREADABLE:
        found = read_usage(legible.find_usage(body), thoughts_beside=thoughts_beside)
        return _not_a_completion("the answer is not JSON", found)
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict):
        return _not_a_completion("the answer is not a JSON object", None)
    choice = _first_choice(document)
    usage = read_usage(_raw_usage(document, choice), thoughts_beside=thoughts_beside)
    message = _message(choice)
    finish_reason = _name(choice.get("finish_reason"))
    if finish_reason == "content_filter":
        return Failure(FailureClass.CONTENT_FILTERED, "the provider withheld the answer", http_status=200, usage=usage)
    reply = None if message is None else _reply(message)
    failed = choice.get("error") or document.get("error")
    if finish_reason == "error" or (failed and (choice.get("error") or reply is None or _is_empty(reply))):
        failure = failure_of(200, headers, read_document({"error": failed or {}}), datetime.now(UTC), usage)
        known = failure.failure_class is not FailureClass.AMBIGUOUS
        return failure if known else replace(failure, failure_class=FailureClass.SERVER_ERROR)
    if reply is None:
        return _other_than_a_completion(document, headers, usage)
    reply.usage, reply.finish_reason = usage, finish_reason
    reply.model = _name(document.get("model"))
    request_id = headers.get("x-request-id") or headers.get("request-id")
    reply.provider_request_id = _name(request_id) or _name(document.get("id"))
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
    return isinstance(part, dict) and part.get("type") in _THOUGHTS


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


def _raw_usage(document: dict[str, Any], choice: dict[str, Any]) -> object:
    places = (document, choice, document.get("x_groq"))
    return next((p["usage"] for p in places if isinstance(p, dict) and p.get("usage")), None)


def _other_than_a_completion(document: dict[str, Any], headers: Mapping[str, str], usage: Usage | None) -> Failure:
    """An error without the usual wrapping, if it says of which kind it is; else nobody knows what was done."""
    error = read_document(document)
    if error.codes or error.status is not None:
        failure = failure_of(200, headers, error, datetime.now(UTC), usage)
        if failure.failure_class is not FailureClass.AMBIGUOUS:
            return failure
    return _not_a_completion("the answer has no choices[0].message", usage)


def _not_a_completion(problem: str, usage: Usage | None) -> Failure:
    billed = "; it was billed" if usage is not None else "; it may have been billed"
    return Failure(FailureClass.AMBIGUOUS, problem + billed, http_status=200, usage=usage)


def _name(value: object) -> str | None:
    return (shown(value)[:LONGEST_NAME] or None) if isinstance(value, str) else None


def _charset(headers: Mapping[str, str]) -> str | None:
    _, _, charset = headers.get("content-type", "").lower().partition("charset=")
    return charset.partition(";")[0].strip(' "') or None
