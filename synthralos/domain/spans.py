"""Spans: the steps of a job's timeline, and the `traceparent` that links it to the caller's."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(slots=True)
class Span:
    """One step of a job. `name` is the stage; `status` is `ok` or `error`; times are UTC."""

    name: str
    started_at: datetime
    ended_at: datetime
    status: str = "ok"
    attributes: dict[str, Any] = field(default_factory=dict)


def root_span_id(job_id: str) -> str:
    """The span id of the job itself: derived from its id, so that every export names it alike."""
    return job_id.replace("-", "")[16:]


def stage_span_id(job_id: str, number: int) -> str:
    """The span id of a stage: derived from the job and the place (from 0) among its stages' spans, so never stored."""
    return sha256(f"{job_id}/stage/{number}".encode()).hexdigest()[:16]


def parse_traceparent(header: str) -> tuple[str, str] | None:
    """(trace id, parent span id) of a W3C `traceparent`, or None where it is not valid.

    Source: W3C Trace Context, level 1, section 3.2; an invalid header is ignored, not refused.
    """
    match = _TRACEPARENT.fullmatch(header.strip())
    if match is None:
        return None
    version, trace_id, span_id, _, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return trace_id, span_id
