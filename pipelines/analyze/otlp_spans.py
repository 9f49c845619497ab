"""A trace as OpenTelemetry's spans, in no encoding yet: one mapping for the JSON export, for OTLP and for Langfuse.

Calls carry the attributes of the semantic conventions for generative AI; ours are under `synthralos.`. What was asked
and answered is not in it, save for those who opt in, as the conventions want it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

Part = Mapping[str, Any]
Span = Mapping[str, Any]

PROVIDERS = {"google": "gcp.gemini", "azure": "azure.ai.openai"}
"""Those that the conventions call otherwise than we do."""

UNSET, OK, ERROR = 0, 1, 2
"""States of a span, as OTLP numbers them."""

TRIMMED = "… [trimmed: %d characters in all]"
"""What stands at the end of a text that was too long for a destination."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(slots=True)
class OtlpEvent:
    """Something that happened within a span; `at` in nanoseconds since 1970."""

    at: int
    name: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class OtlpSpan:
    """A span. Ids are hexadecimal, times nanoseconds since 1970; attributes that are None are not there.

    `shared` are attributes that all spans of a trace have: they are encoded once.
    """

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    is_client: bool
    start: int
    end: int
    attributes: dict[str, Any]
    events: Sequence[OtlpEvent] = ()
    status: int = UNSET
    message: str = ""
    shared: Mapping[str, Any] = field(default_factory=dict)


def resource(release: str, more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What is said of the sender; `more` wins over what we say ourselves."""
    return {"service.name": "synthralos", "service.version": release, **(more or {})}


def otlp_spans(part: Part, *, content: bool = False) -> list[OtlpSpan]:
    """The spans of one job, as `assemble` gives it. Open spans are left out. `content`: with messages."""
    return [_span(part, span, content) for span in part["spans"] if span["ended_at"] is not None]


def answered(part: Part, span: Span) -> bool:
    """Whether this call brought the job's result."""
    result = part["job"]["result"]
    return (
        span["status"] == "ok" and result is not None and result.get("deployment") == span["attributes"]["deployment"]
    )


def nanoseconds(moment: str) -> int:
    """Of an instant as it is published."""
    return (datetime.fromisoformat(moment) - _EPOCH) // _MICROSECOND * 1000


def trimmed(text: str, most: int | None) -> str:
    """At most so many characters of it, with a marker; None: all."""
    return text if most is None or len(text) <= most else text[:most] + TRIMMED % len(text)


def _span(part: Part, span: Span, content: bool) -> OtlpSpan:
    is_call, kind = span["kind"] == "attempt", span["kind"]
    attributes = {**_own(span), **(_conventional(part, span) if is_call else {})}
    if content and is_call and answered(part, span):
        attributes |= _content(part)
    failure = span["attributes"].get("failure")
    return OtlpSpan(
        part["job"]["trace_id"],
        span["span_id"],
        span["parent_span_id"] or "",
        _name(part, span) if is_call else span["name"],
        is_call,
        nanoseconds(span["started_at"]),
        nanoseconds(span["ended_at"]),
        attributes,
        [OtlpEvent(nanoseconds(event["at"]), event["kind"]) for event in part["events"]] if kind == "job" else (),
        {"ok": OK, "error": ERROR}.get(span["status"], UNSET),
        failure["message"] if span["status"] == "error" and failure else "",
    )


def _operation(part: Part) -> str:
    return "embeddings" if "input" in part["job"]["request"] else "chat"


def _name(part: Part, span: Span) -> str:
    return f"{_operation(part)} {span['attributes']['model'] or part['job']['model']}"


def _conventional(part: Part, span: Span) -> dict[str, Any]:
    seen, job = span["attributes"], part["job"]
    usage, result = seen["usage"] or {}, job["result"]
    reason = result["finish_reason"] if answered(part, span) else None
    return {
        "gen_ai.operation.name": _operation(part),
        "gen_ai.provider.name": PROVIDERS.get(seen["provider"], seen["provider"]),
        "gen_ai.request.model": seen["model"],
        "gen_ai.response.model": seen["provider_model"],
        "gen_ai.response.id": seen["provider_request_id"],
        "gen_ai.response.finish_reasons": [reason] if reason else None,
        "gen_ai.usage.input_tokens": usage.get("input"),
        "gen_ai.usage.output_tokens": usage.get("output"),
        "gen_ai.usage.cache_read.input_tokens": usage.get("cached"),
        "gen_ai.usage.reasoning.output_tokens": usage.get("reasoning"),
        "error.type": None if seen["failure"] is None else seen["failure"]["class"],
    }


def _own(span: Span) -> dict[str, Any]:
    plain = span["attributes"].items()
    return {f"synthralos.{name}": value for name, value in plain if isinstance(value, str | int | float | bool)}


def _content(part: Part) -> dict[str, str]:
    """Messages as the conventions write them: a JSON text of roles and parts."""
    request, result = part["job"]["request"], part["job"]["result"]
    asked = [
        {"role": message.get("role"), "parts": _parts(message.get("content"))}
        for message in request.get("messages", [])
    ]
    said = {"role": "assistant", "parts": _parts(result["text"]), "finish_reason": result["finish_reason"]}
    return {
        "gen_ai.input.messages": orjson.dumps(asked).decode(),
        "gen_ai.output.messages": orjson.dumps([said]).decode(),
    }


def _parts(content: Any) -> list[Any]:
    if content is None:
        return []
    return [{"type": "text", "content": content}] if isinstance(content, str) else [*content]
