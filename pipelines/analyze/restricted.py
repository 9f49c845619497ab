"""Jobs and traces for those who only look: what was asked and got, without how the house decided and what went wrong.

Left out are the plan (which deployments there are, at what price), the deployments that did not answer, what providers
said of errors, what guards measured, and what operators noted.
"""

from collections.abc import Callable, Mapping
from typing import Any

from synthralos.domain.attempts import Outcome
from synthralos.domain.failures import MEANINGS, FailureClass

_SEEN_OF_CALLS = ("attempt_no", "model", "outcome", "billed", "late", "usage", "cost_usd", "seconds", "service_tier")
_SEEN_OF_ANSWERS = ("deployment", "provider", "region", "provider_model")


def restricted(part: Mapping[str, Any]) -> dict[str, Any]:
    """One job of a trace, as `assemble` gives it, in the same form with less in it."""
    return {
        **part,
        "job": restricted_job(part["job"]),
        "spans": [_span(span) for span in part["spans"]],
        "events": [_event(event) for event in part["events"]],
    }


def restricted_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """A job, as `job_view` gives it with or without its details, in the same form with less in it."""
    if "constraints" not in job:
        return {**job, "failure": _failure(job["failure"])}
    constraints = {**job["constraints"], "exclude": []}
    return {
        **job,
        "plan": None,
        "constraints": constraints,
        "verdict": _verdict(job["verdict"]),
        "failure": _failure(job["failure"]),
    }


def restricted_entry(event: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry of a job's event stream says."""
    return _ENTRIES[event](data)


def _state(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "failure": _failure(data["failure"])}


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    return {**event, "actor": "", "data": {}}


def _verdict(verdict: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {
        "decision": verdict["decision"],
        "findings": [{**finding, "signals": {}} for finding in verdict["findings"]],
    }


def _failure(failure: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    message = MEANINGS[FailureClass(failure["class"])]
    return {**failure, "message": message, "http_status": None, "provider_code": None}


def _span(span: Mapping[str, Any]) -> dict[str, Any]:
    if span["kind"] == "job":
        return dict(span)
    if span["kind"] == "stage":
        return {**span, "attributes": {}}
    seen = span["attributes"]
    answered = seen["outcome"] == Outcome.SUCCEEDED
    attributes = dict.fromkeys(seen)
    attributes |= {name: seen[name] for name in (*_SEEN_OF_CALLS, *(_SEEN_OF_ANSWERS if answered else ()))}
    attributes["failure"] = _failure(seen["failure"])
    return {**span, "attributes": attributes}


_ENTRIES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "state": _state,
    "span": _span,
    "attempt": _span,
    "event": _event,
    "done": restricted_job,
}
