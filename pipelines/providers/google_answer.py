"""What Google's generateContent answered with status 200, as a `Reply` or a `Failure` (`answers` says what is kept).

Source: Gemini API reference, "GenerateContentResponse", "FinishReason"; "Thought signatures".
"""

from collections.abc import Mapping
from typing import Any

from pipelines.providers import legible
from pipelines.providers.answers import failure_in, name_in, not_an_answer, read_object, request_id, withheld
from pipelines.providers.google_usage import USAGE, read_usage
from pipelines.providers.google_wire import SIGNATURE
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage

FINISH_REASONS: Mapping[str, str] = {"STOP": "stop", "MAX_TOKENS": "length"}
"""OpenAI's words for the reasons of an end; others are kept as they are."""

WITHHELD = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
     "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)  # fmt: skip
"""The provider's filter stopped the answer."""

SPOILED = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"}
)
"""The model was at work, and what it wrote has no form in which it could be given."""


def decode(body: bytes, headers: Mapping[str, str]) -> Reply | Failure:
    """The first candidate in the body of an answer of status 200. `headers` are those of the answer, in lower case.

    What holds neither a candidate nor an error is ambiguous: the provider did something, and may have billed it.
    """
    document = read_object(body, headers, read_usage, USAGE)
    if isinstance(document, Failure):
        return document
    usage, candidate = read_usage(document.get(USAGE)), _first_candidate(document)
    if candidate is None:
        return _no_candidate(document, headers, usage)
    reason = name_in(candidate.get("finishReason"))
    if reason in WITHHELD:
        return withheld(f": {reason}", usage)
    reply = _reply(_parts(candidate), name_in(document.get("responseId")) or "0")
    if reason in SPOILED and not reply.text and not reply.tool_calls:
        said = name_in(candidate.get("finishMessage")) or "it says no more"
        message = f"the answer ended with {reason}: {said}"
        return Failure(FailureClass.SCHEMA_MISMATCH, message, None, 200, reason, usage)
    reply.usage = usage
    finish = FINISH_REASONS.get(reason or "", reason)
    reply.finish_reason = "tool_calls" if finish == "stop" and reply.tool_calls else finish
    reply.model = name_in(document.get("modelVersion"))
    reply.provider_request_id = request_id(headers, document.get("responseId"))
    return reply


def _first_candidate(document: dict[str, Any]) -> dict[str, Any] | None:
    candidates = document.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else candidates
    return first if isinstance(first, dict) else None


def _no_candidate(document: dict[str, Any], headers: Mapping[str, str], usage: Usage | None) -> Failure:
    feedback = document.get("promptFeedback")
    blocked = feedback.get("blockReason") if isinstance(feedback, dict) else None
    if blocked:
        return withheld(f": the prompt was blocked ({name_in(blocked) or 'no reason given'})", usage)
    if document.get("error"):
        return failure_in(document, headers, usage)
    return not_an_answer(document, headers, usage, "the answer has no candidates")


def _parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [legible.writable(part) for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _reply(parts: list[dict[str, Any]], response_id: str) -> Reply:
    thoughts = [part for part in parts if part.get("thought") is True]
    said = [part for part in parts if part.get("thought") is not True]
    calls = [part for part in said if isinstance(part.get("functionCall"), dict)]
    signatures = [part["thoughtSignature"] for part in said if _has_signature(part) and part not in calls]
    return Reply(
        text=_joined(said) or (None if calls else ""),
        usage=None,
        tool_calls=[_call(part, f"call_{response_id}_{n}") for n, part in enumerate(calls)],
        reasoning=_joined(thoughts) or None,
        thinking=[{"type": SIGNATURE, "signature": signatures[-1]}] if signatures else [],
    )


def _joined(parts: list[dict[str, Any]]) -> str:
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _has_signature(part: dict[str, Any]) -> bool:
    return isinstance(part.get("thoughtSignature"), str)


def _call(part: dict[str, Any], made_up: str) -> dict[str, Any]:
    """A call in OpenAI's form. Not all models give their calls an id: it has to be another one in each answer."""
    call = part["functionCall"]
    inputs = call.get("args")
    function = {"name": str(call.get("name") or ""), "arguments": legible.as_text({} if inputs is None else inputs)}
    found = {"id": str(call.get("id") or made_up), "type": "function", "function": function}
    if _has_signature(part):
        found["extra_content"] = {"google": {"thought_signature": part["thoughtSignature"]}}
    return found
