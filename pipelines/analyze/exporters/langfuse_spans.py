"""A trace as Langfuse wants it: OpenTelemetry's spans with Langfuse's attributes on every one of them, and scores.

The names are Langfuse's own (`langfuse._client.attributes` has them); values that are no plain texts are JSON.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipelines.analyze.otlp_spans import OK, OtlpSpan, answered, nanoseconds, otlp_spans, trimmed
from pipelines.analyze.protocol import Trace
from synthralos.domain.events import Thought
from synthralos.domain.failures import FailureClass
from synthralos.domain.findings import Decision
from synthralos.domain.spans import root_span_id
from synthralos.domain.states import State

Attributes = dict[str, Any]
Score = dict[str, Any]

LONGEST_ID = 200
"""Characters of a user, a session or a tag; Langfuse drops what is longer."""

TRIMMED_TO = 2_000
"""Characters of a text, in a trace that is too large alone."""

_THOUGHTS_KEPT = 50
_LONGEST_TEXT_SCORE = 500
_PARAMETERS = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "reasoning_effort")
_TYPES = {"guard": "guardrail"}


@dataclass(frozen=True, slots=True)
class Filing:
    """Under what everything is filed."""

    environment: str
    release: str


def langfuse_spans(trace: Trace, filing: Filing, most: int | None = None) -> list[OtlpSpan]:
    """The spans of a job, its thoughts among them. `most`: characters of a text; None: all of them."""
    shared = _shared(trace, filing)
    by_id = {span["span_id"]: span for span in trace["spans"]}
    spans = otlp_spans(trace)
    for span in spans:
        own = _of_kind(trace, by_id[span.span_id], most)
        span.attributes, span.events, span.shared = {**span.attributes, **own}, (), shared
    return [
        *spans,
        *(_thought(trace, event, shared, most) for event in trace["events"] if event["kind"] == Thought.kind),
    ]


def scores(trace: Trace, environment: str) -> list[Score]:
    """What guards, the schema and people made of the job. A repeat has the same ids and times, and so overwrites."""
    found = [_guard_score(trace), _schema_score(trace), *(_said(trace, said) for said in trace["feedback"])]
    shared = {"traceId": trace["job"]["trace_id"], "environment": environment, "timestamp": trace["job"]["created_at"]}
    return [{**score, **shared} for score in found if score is not None]


def short_id(text: str) -> str:
    """At most `LONGEST_ID` ASCII characters that stand for the text, and for no other."""
    if text.isascii() and len(text) <= LONGEST_ID:
        return text
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
    return f"{text.encode('ascii', 'replace').decode()[: LONGEST_ID - 17]}~{digest}"


def _shared(trace: Trace, filing: Filing) -> Attributes:
    job = trace["job"]
    tags = [short_id(tag) for tag in _tags(job)]
    return {
        "langfuse.trace.name": "job",
        "user.id": None if job["user"] is None else short_id(job["user"]),
        "session.id": None if job["run_id"] is None else short_id(job["run_id"]),
        "langfuse.trace.tags": tags or None,
        "langfuse.environment": filing.environment,
        "langfuse.release": filing.release,
        "langfuse.version": filing.release,
        "langfuse.trace.metadata.job_id": _json(job["id"]),
        "langfuse.trace.metadata.organization": _json(job["organization"]),
        "langfuse.trace.metadata.workspace": _json(job["workspace"]),
        "langfuse.trace.metadata.state": _json(job["state"]),
    }


def _tags(job: Mapping[str, Any]) -> list[str]:
    plain = ((name, value) for name, value in job["metadata"].items() if isinstance(value, str | int | float | bool))
    return [job["lane"], job["organization"], *(f"{name}={value}" for name, value in plain)]


def _of_kind(trace: Trace, span: Mapping[str, Any], most: int | None) -> Attributes:
    if span["kind"] == "job":
        return _job(trace, most)
    return _call(trace, span, most) if span["kind"] == "attempt" else _stage(trace, span, most)


def _job(trace: Trace, most: int | None) -> Attributes:
    job = trace["job"]
    failure = job["failure"]
    found = _observation("span", _input(job), _output(job), most)
    found["langfuse.internal.as_root"] = True  # where the caller's own span is its parent, Langfuse never sees that
    found |= _metadata(job["metadata"], most)
    if job["state"] != State.SUCCEEDED:
        found["langfuse.observation.level"] = "ERROR" if job["state"] == State.FAILED else "WARNING"
        found["langfuse.observation.status_message"] = failure["message"] if failure else job["state"]
    return found


def _stage(trace: Trace, span: Mapping[str, Any], most: int | None) -> Attributes:
    job, name = trace["job"], span["name"]
    output = {"guard": job["verdict"], "route": job["plan"]}.get(name)
    found = _observation(_TYPES.get(name, "span"), None, output, most)
    found |= _metadata(span["attributes"], most)
    if name == "guard" and job["verdict"] is not None and job["verdict"]["decision"] != Decision.ALLOW:
        found["langfuse.observation.level"] = "WARNING"
    return found


def _call(trace: Trace, span: Mapping[str, Any], most: int | None) -> Attributes:
    job, seen = trace["job"], span["attributes"]
    kind = "embedding" if "input" in job["request"] else "generation"
    found = _observation(kind, _input(job), _output(job) if answered(trace, span) else None, most)
    parameters = {name: job["request"][name] for name in _PARAMETERS if job["request"].get(name) is not None}
    found |= {
        "langfuse.observation.model.name": seen["provider_model"] or seen["model"],
        "langfuse.observation.model.parameters": _json(parameters) if parameters else None,
        "langfuse.observation.usage_details": None if seen["usage"] is None else _json(_usage(seen["usage"])),
        "langfuse.observation.cost_details": _cost(seen["cost_usd"]),
    }
    if seen["failure"] is not None:
        found["langfuse.observation.level"] = "ERROR"
        found["langfuse.observation.status_message"] = seen["failure"]["message"]
    return found


def _usage(usage: Mapping[str, Any]) -> dict[str, int]:
    """Langfuse adds its kinds up: each token is in one of them."""
    known = {name: value or 0 for name, value in usage.items()}
    cached, written, reasoning = known["cached"], known["cache_write"], known["reasoning"]
    return {
        "input": max(0, known["input"] - cached - written),
        "output": max(0, known["output"] - reasoning),
        "total": known["input"] + known["output"],
        **({"input_cached_tokens": cached} if cached else {}),
        **({"input_cache_creation": written} if written else {}),
        **({"output_reasoning_tokens": reasoning} if reasoning else {}),
    }


def _cost(usd: str | None) -> str | None:
    """As it is, in USD; what is unknown is left out, never 0."""
    return None if usd is None else f'{{"total":{usd}}}'


def _observation(kind: str, asked: Any, said: Any, most: int | None) -> Attributes:
    return {
        "langfuse.observation.type": kind,
        "langfuse.observation.input": None if asked is None else _text(asked, most),
        "langfuse.observation.output": None if said is None else _text(said, most),
    }


def _metadata(values: Mapping[str, Any], most: int | None) -> Attributes:
    """Each value as JSON, texts too: so Langfuse tells "123" from 123."""
    return {f"langfuse.observation.metadata.{name}": _value(value, most) for name, value in values.items()}


def _value(value: Any, most: int | None) -> str:
    whole = _json(value)
    return whole if most is None or len(whole) <= most else _json(trimmed(whole, most))


def _input(job: Mapping[str, Any]) -> Any:
    request = job["request"]
    return request.get("messages", request.get("input"))


def _output(job: Mapping[str, Any]) -> Any:
    result = job["result"]
    if result is None:
        return None
    if not result["tool_calls"]:
        return result["text"]
    return {"role": "assistant", "content": result["text"], "tool_calls": result["tool_calls"]}


def _thought(trace: Trace, event: Mapping[str, Any], shared: Attributes, most: int | None) -> OtlpSpan:
    job, at = trace["job"], nanoseconds(event["at"])
    span_id = hashlib.sha256(f"thought/{event['id']}".encode()).hexdigest()[:16]
    said = _observation("event", None, event["data"].get("text"), most)
    root = root_span_id(job["id"])
    return OtlpSpan(job["trace_id"], span_id, root, "thought", False, at, at, said, status=OK, shared=shared)


def _guard_score(trace: Trace) -> Score | None:
    verdict, job = trace["job"]["verdict"], trace["job"]
    if verdict is None:
        return None
    reasons = "; ".join(finding["reason"] for finding in verdict["findings"])
    return {
        "id": f"{job['id']}-guard",
        "name": "guard",
        "value": verdict["decision"],
        "dataType": "CATEGORICAL",
        "observationId": root_span_id(job["id"]),
        **({"comment": reasons[:_LONGEST_TEXT_SCORE]} if reasons else {}),
    }


def _schema_score(trace: Trace) -> Score | None:
    """1: the answer kept to the schema that was demanded; 0: the job failed as it did not."""
    job = trace["job"]
    demanded = (job["request"].get("response_format") or {}).get("type") == "json_schema"
    missed = job["failure"] is not None and job["failure"]["class"] == FailureClass.SCHEMA_MISMATCH
    if not (missed or (demanded and job["state"] == State.SUCCEEDED)):
        return None
    score = {"id": f"{job['id']}-schema", "name": "schema", "value": 0 if missed else 1, "dataType": "BOOLEAN"}
    return {**score, "observationId": root_span_id(job["id"])}


def _said(trace: Trace, said: Mapping[str, Any]) -> Score:
    digest = hashlib.sha256(orjson.dumps([said["source"], said["label"]])).hexdigest()[:16]
    comment = {} if said["comment"] is None else {"comment": said["comment"]}
    shared = {
        "id": f"{trace['job']['id']}-{digest}",
        "name": short_id(said["label"] or "feedback"),
        "metadata": {"source": said["source"], "by": said["by"]},
        **comment,
    }
    if said["score"] is not None:
        return {**shared, "value": said["score"], "dataType": "NUMERIC"}
    value = said["comment"] or said["label"] or "feedback"
    return {**shared, "value": value[:_LONGEST_TEXT_SCORE], "dataType": "TEXT"}


def _text(value: Any, most: int | None) -> str:
    return trimmed(value if isinstance(value, str) else _json(value), most)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def small_spans(trace: Trace, filing: Filing) -> list[OtlpSpan]:
    """A smaller form of a trace that is too large alone: the last of its thoughts, and no long text."""
    kept = {span["span_id"] for span in trace["spans"]}
    spans = langfuse_spans(trace, filing, TRIMMED_TO)
    thoughts = [span for span in spans if span.span_id not in kept]
    return [*(span for span in spans if span.span_id in kept), *thoughts[-_THOUGHTS_KEPT:]]
