"""What Anthropic's messages answered with status 200, as a `Reply` or a `Failure` (`answers` says what is kept).

Source: Anthropic API reference, "Message"; "Stop reasons", "Extended thinking".
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.providers import legible
from pipelines.providers.answers import failure_in, name_in, not_an_answer, read_object, request_id, withheld
from pipelines.providers.anthropic_usage import read_usage
from pipelines.providers.anthropic_wire import BEFORE_CALL, THOUGHTS
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.money import Usage

FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
"""OpenAI's words for the reasons of an end; others are kept as they are."""


def decode(body: bytes, headers: Mapping[str, str]) -> Reply | Failure:
    """The message in the body of an answer of status 200. `headers` are those of the answer, in lower case.

    What is neither a message nor an error is ambiguous: the provider did something, and may have billed it.
    """
    document = read_object(body, headers, read_usage)
    if isinstance(document, Failure):
        return document
    usage, reason, content = read_usage(document.get("usage")), document.get("stop_reason"), document.get("content")
    if reason == "refusal":
        return _refused(document.get("stop_details"), usage)
    if document.get("type") == "error" or (document.get("error") and not content):
        return failure_in(document, headers, usage)
    content = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(content, list):
        return not_an_answer(document, headers, usage, "the answer has no content")
    found = [legible.writable(block) for block in content if isinstance(block, dict)]
    calls = [_call(block, n) for n, block in enumerate(b for b in found if b.get("type") == "tool_use")]
    finish = name_in(reason)
    return Reply(
        text=_joined(found, "text") or (None if calls else ""),
        usage=usage,
        finish_reason=FINISH_REASONS.get(finish or "", finish),
        model=name_in(document.get("model")),
        tool_calls=calls,
        provider_request_id=request_id(headers, document.get("id")),
        reasoning=_joined(found, "thinking") or None,
        thinking=list(_signed(found)),
    )


def _refused(details: object, usage: Usage | None) -> Failure:
    said = [details.get(name) for name in ("category", "explanation")] if isinstance(details, dict) else []
    return withheld("".join(f": {text}" for text in said if isinstance(text, str)), usage)


def _joined(content: list[dict[str, Any]], kind: str) -> str | None:
    """The texts of all blocks of a kind; None where there is none. They lie under the name of their kind."""
    texts = [block[kind] for block in content if block.get("type") == kind and isinstance(block.get(kind), str)]
    return "".join(texts) if texts else None


def _call(block: dict[str, Any], number: int) -> dict[str, Any]:
    inputs = block.get("input")
    function = {"name": str(block.get("name") or ""), "arguments": legible.as_text({} if inputs is None else inputs)}
    return {"id": _id(block, number), "type": "function", "function": function}


def _id(block: dict[str, Any], number: int) -> str:
    return str(block.get("id") or f"call_{number}")


def _signed(content: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The thoughts that the next turn has to bring back, with the call that each came before if it was not first."""
    calls = sum(block.get("type") == "tool_use" for block in content)
    seen, others = 0, False
    for block in content:
        members = THOUGHTS.get(str(block.get("type")), ())
        if members and all(isinstance(block.get(name), str) for name in members):
            thought = {name: block[name] for name in members}
            if others and seen < calls:
                thought[BEFORE_CALL] = _id(_nth_call(content, seen), seen)
            yield thought
        else:
            others = True
            seen += block.get("type") == "tool_use"


def _nth_call(content: list[dict[str, Any]], number: int) -> dict[str, Any]:
    return [block for block in content if block.get("type") == "tool_use"][number]
