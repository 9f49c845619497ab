"""Other jobs that a trace names: those whose prompts are like its own, and those whose results answered it.

Their data may be of another class than the trace's own, so that a destination that may have the trace may not hear of
them (promise 4).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipelines.analyze.protocol import Trace

WITHHELD = "[withheld]"
"""What stands for the id of a job that a destination may not hear of."""


def named(trace: Trace) -> set[str]:
    """The ids of other jobs that a trace names."""
    compared, result = trace.get("similarity") or {}, trace["job"]["result"] or {}
    found = [compared.get("matched_job_id"), result.get("reused_from")]
    found += [match["job_id"] for match in compared.get("matches") or ()]
    for signals in _signals(trace):
        found += [signals.get("job_id"), *(match["job_id"] for match in _matches(signals))]
    found += [span["attributes"].get("reused_from") for span in trace["spans"]]
    return {job_id for job_id in found if isinstance(job_id, str)}


def without(trace: Trace, hidden: Collection[str]) -> Trace:
    """The trace as one may have it who may not hear of the `hidden` jobs: no id, and not how near their prompts are."""
    if not hidden:
        return trace
    made: Trace = _without(trace, hidden)
    compared = trace.get("similarity")
    if compared is not None and compared["matched_job_id"] in hidden:
        nothing = {"matched_job_id": None, "matched_classification": None, "score": None}
        made["similarity"] = {**made["similarity"], **nothing}
    return made


def _without(value: Any, hidden: Collection[str]) -> Any:
    if isinstance(value, str):
        for job_id in hidden:
            value = value.replace(job_id, WITHHELD)
        return value
    if isinstance(value, Mapping):
        return {name: _without(inner, hidden) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without(inner, hidden) for inner in value if not _is_match(inner, hidden)]
    return value


def _is_match(value: Any, hidden: Collection[str]) -> bool:
    """Whether it says how near a hidden job's prompt is."""
    return isinstance(value, Mapping) and "score" in value and value.get("job_id") in hidden


def _signals(trace: Trace) -> Iterator[Mapping[str, Any]]:
    for finding in (trace["job"]["verdict"] or {}).get("findings", ()):
        yield finding.get("signals") or {}


def _matches(signals: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    matches = signals.get("matches")
    listed = matches if isinstance(matches, list) else []
    return [match for match in listed if isinstance(match, Mapping) and "job_id" in match]
