"""Traces of jobs with `zero_retention`: destinations keep what they get, so they get nothing of what was written.

Left out are the request but for its figures, the result, the metadata, what providers said of errors, thoughts, reasons
and comments. What the job cost, how long it took and how it was decided stays.
"""

from collections.abc import Mapping
from typing import Any

from pipelines.analyze.protocol import Trace
from synthralos.domain.failures import MEANINGS, FailureClass

_KEPT_OF_RESULTS = ("deployment", "finish_reason", "model", "usage", "reused_from")
_WRITTEN = frozenset({"text", "prompt", "comment", "reason", "answer", "data"})


def contentless(trace: Trace) -> Trace:
    """The trace without content, in the same form, where its job demands that; else the very same."""
    job = trace["job"]
    if not job["constraints"].get("zero_retention"):
        return trace
    bare = {
        **job,
        "request": _request(job["request"]),
        "result": job["result"] and _result(job["result"]),
        "failure": _failure(job["failure"]),
        "metadata": {},
    }
    return {
        **trace,
        "job": bare,
        "spans": [_span(span) for span in trace["spans"]],
        "events": [_event(event) for event in trace["events"]],
        "feedback": [{**said, "comment": None} for said in trace["feedback"]],
    }


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The model and the figures; whether it asked for vectors shows by an empty `input`."""
    figures = {name: value for name, value in request.items() if isinstance(value, int | float)}
    asked = {"input": None} if "input" in request else {}
    schema = (request.get("response_format") or {}).get("type")
    wanted = {} if schema is None else {"response_format": {"type": schema}}
    return {"model": request.get("model"), **figures, **asked, **wanted}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: result.get(name) for name in _KEPT_OF_RESULTS}, "text": None, "tool_calls": []}


def _failure(failure: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if failure is None else {**failure, "message": MEANINGS[FailureClass(failure["class"])]}


def _span(span: Mapping[str, Any]) -> dict[str, Any]:
    attributes = span["attributes"]
    if not isinstance(attributes.get("failure"), Mapping):
        return dict(span)
    return {**span, "attributes": {**attributes, "failure": _failure(attributes["failure"])}}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in event["data"].items() if name not in _WRITTEN}
    if isinstance(data.get("failure"), Mapping):
        data["failure"] = _failure(data["failure"])
    return {**event, "data": data}
