"""What OpenAI's Responses API answered with status 200, as a `Reply` or a `Failure` (`answers` says what is kept).

Source: OpenAI API reference, "The response object".
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.providers import legible
from pipelines.providers.answers import failure_in, name_in, not_an_answer, read_object, request_id, withheld
from pipelines.providers.openai_answer import billed_at
from pipelines.providers.openai_usage import read_usage
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.money import Usage

FINISH_REASONS: Mapping[str, str] = {"max_output_tokens": "length"}
"""Chat completions' words for why an answer is incomplete; others are kept as they are."""


def decode(body: bytes, headers: Mapping[str, str]) -> Reply | Failure:
    """The response in the body of an answer of status 200. `headers` are those of the answer, in lower case.

    What is neither finished nor failed is ambiguous: the provider did something, and may have billed it.
    """
    document = read_object(body, headers, read_usage)
    if isinstance(document, Failure):
        return document
    usage = billed_at(document, read_usage(document.get("usage")))
    status, output = document.get("status"), document.get("output")
    if document.get("error") or status == "failed":
        return failure_in({"error": document.get("error") or {}}, headers, usage)
    if status not in ("completed", "incomplete") or not isinstance(output, list):
        return not_an_answer(document, headers, usage, "the answer is no finished response")
    return _finished(document, [item for item in output if isinstance(item, dict)], headers, usage)


def _finished(
    document: dict[str, Any], output: list[dict[str, Any]], headers: Mapping[str, str], usage: Usage | None
) -> Reply | Failure:
    details = document.get("incomplete_details")
    why = name_in(details.get("reason")) if isinstance(details, dict) else None
    if document["status"] == "incomplete" and why == "content_filter":
        return withheld("", usage)
    items = [legible.writable(item) for item in output]
    texts, refusals = (list(_said(items, *kind)) for kind in (("output_text", "text"), ("refusal", "refusal")))
    calls = [_call(item, number) for number, item in enumerate(_of_type(items, "function_call"))]
    finish = "tool_calls" if calls else "stop"
    if document["status"] == "incomplete":
        finish = FINISH_REASONS.get(why or "", why or "incomplete")
    return Reply(
        text="".join(texts or refusals) or (None if calls else ""),
        usage=usage,
        finish_reason=finish,
        model=name_in(document.get("model")),
        tool_calls=calls,
        provider_request_id=request_id(headers, document.get("id")),
        reasoning="\n\n".join(_thoughts(items)) or None,
    )


def _of_type(items: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in items if item.get("type") == kind]


def _said(items: list[dict[str, Any]], kind: str, member: str) -> Iterator[str]:
    for message in _of_type(items, "message"):
        yield from _texts(message.get("content"), kind, member)


def _thoughts(items: list[dict[str, Any]]) -> Iterator[str]:
    for thought in _of_type(items, "reasoning"):
        yield from _texts(thought.get("summary"), "summary_text", "text")


def _texts(parts: object, kind: str, member: str) -> Iterator[str]:
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and part.get("type") == kind and isinstance(part.get(member), str):
            yield part[member]


def _call(item: dict[str, Any], number: int) -> dict[str, Any]:
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        arguments = legible.as_text({} if arguments is None else arguments)
    function = {"name": str(item.get("name") or ""), "arguments": arguments}
    return {"id": str(item.get("call_id") or f"call_{number}"), "type": "function", "function": function}
