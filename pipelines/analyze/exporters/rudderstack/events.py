"""From a finished job's trace to RudderStack's events. Pure: the same trace gives the same events, ids included.

A `messageId` belongs to one event for ever: the data plane keeps the first that it sees and drops the others. So what
may be said anew of the same thing (a call whose end was learned late) has what it says in its id.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import orjson

from pipelines.analyze.evidence import who
from pipelines.analyze.exporters.rudderstack.contract import (
    CHECK,
    Event,
    FeedbackGiven,
    JobEnded,
    ModelCostLogged,
    PromptSimilarityLogged,
    name_of,
)
from pipelines.analyze.protocol import Trace
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.findings import Decision
from synthralos.domain.states import TERMINAL

Told = tuple[str, str, str, dict[str, Any]]
"""An event's message id, name, time, and properties of its own."""

Content = Literal["none", "metadata", "all"]
"""How much of what tenants wrote is sent: nothing, the metadata of jobs, or all."""

_PLAIN = "@.+:_-~!$'()*,;=&"
_TOKENS = ("input", "cached", "cache_write", "output", "reasoning")
_SAID = (
    "attempts", "remedy", "treatment", "losses", "schedule_id", "failures", "budget", "budget_id", "subject", "percent",
    "limit_usd", "spent_usd", "wait_id", "wait_kind", "state",
)  # fmt: skip
_WRITTEN = ("reason", "text", "prompt", "comment")


class Events:
    """Makes the events of traces; `version` is of what makes them."""

    def __init__(self, version: str, content: Content = "none") -> None:
        self._context = {"library": {"name": "synthralos", "version": version}}
        self._metadata, self._all = content != "none", content == "all"

    def of(self, trace: Trace) -> list[Event]:
        """The `track` events of a trace, what happened first in front."""
        job, made = trace["job"], []
        about, person = _about(job), _person(job)
        for message_id, name, at, said in self._told(trace):
            made.append(self._event("track", message_id, at, person, event=name, properties={**about, **said}))
        return sorted(made, key=_when)

    def identify(self, trace: Trace) -> Event | None:
        """Who the job's user is; None where it has none."""
        job = trace["job"]
        if job["user"] is None:
            return None
        traits = {name: job[name] for name in ("organization", "workspace", "user")}
        made = self._event("identify", f"identify:{_mark(*traits.values())}", job["created_at"], _person(job))
        return {**made, "context": {**self._context, "traits": traits}}

    def check(self, at: str) -> Event:
        """A plain event that is nobody's: what a data plane says to it, it says of itself."""
        return self._event("track", f"check:{_mark(at)}", at, {"anonymousId": "synthralos"}, event=CHECK, properties={})

    def _event(self, kind: str, message_id: str, at: str, person: Mapping[str, str], **more: Any) -> Event:
        return {
            "type": kind,
            "messageId": message_id,
            **person,
            **more,
            "originalTimestamp": at,
            "timestamp": at,
            "channel": "server",
            "context": self._context,
            "integrations": {"All": True},
        }

    def _told(self, trace: Trace) -> Iterator[Told]:
        job = trace["job"]
        written = self._all and not job["constraints"].get("zero_retention")
        calls = [span["attributes"] for span in trace["spans"] if span["kind"] == "attempt"]
        for span in trace["spans"]:
            if span["kind"] == "attempt" and _costs(span["attributes"]):
                yield _cost(job["id"], span)
        if (compared := trace.get("similarity")) is not None:
            yield _similarity(job["id"], compared)
        for event in trace["events"]:
            yield event["id"], name_of(event["kind"]), event["at"], _happened(event, written)
        for said in trace.get("feedback", ()):
            yield _feedback(job["id"], said, written)
        if job["state"] in TERMINAL:
            yield self._ended(job, calls)

    def _ended(self, job: Mapping[str, Any], calls: list[dict[str, Any]]) -> Told:
        cost, verdict, failure = job["cost"], job["verdict"], job["failure"]
        answered: dict[str, Any] = next((call for call in reversed(calls) if call["outcome"] == Outcome.SUCCEEDED), {})
        mark = _mark(job["state"], job["finished_at"], job["attempts"], *cost.values())
        return f"{job['id']}:ended:{mark}", JobEnded.event, job["finished_at"], {
            "state": job["state"],
            "revision": sum(1 for call in calls if call["late"]),
            "attempts": job["attempts"],
            "requested_model": job["model"],
            **{name: answered.get(name) for name in ("deployment", "provider", "model", "region")},
            "seconds": _seconds(job["created_at"], job["finished_at"]),
            **{f"{kind}_tokens": _sum(calls, kind) for kind in ("input", "output")},
            "cost_usd": cost["usd"],
            "cost_known": cost["known"],
            "maybe_billed_attempts": cost["maybe_billed_attempts"],
            "failure_class": failure and failure["class"],
            "decision": verdict and verdict["decision"],
            "findings": _findings(verdict),
            "classification": job["constraints"].get("classification"),
            "created_at": job["created_at"],
            **self._content(job),
        }  # fmt: skip

    def _content(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """What the tenant wrote and got, as far as it is wanted: a job that is to be kept nowhere has none of it."""
        if not self._metadata or job["constraints"].get("zero_retention"):
            return {}
        if not self._all:
            return {"metadata": job["metadata"]}
        message = job["failure"] and job["failure"]["message"]
        written = {"request": _json(job["request"]), "result": _json(job["result"]), "failure_message": message}
        return {"metadata": job["metadata"], **written}


def _happened(event: Mapping[str, Any], written: bool) -> dict[str, Any]:
    """What an event of a job says; with what people and providers wrote, where that is wanted."""
    data = event["data"]
    said = {name: data[name] for name in _SAID if name in data}
    if (failure := data.get("failure")) is not None:
        said |= {"failure_class": failure["class"], "http_status": failure.get("http_status")}
    if "from" in data:
        said["before"] = data["from"]
    if written:
        said |= {name: data[name] for name in _WRITTEN if name in data}
        said |= {"failure_message": failure["message"]} if failure is not None else {}
    return {"kind": event["kind"], "by": who(event["actor"]), **said}


def _feedback(job_id: str, said: Mapping[str, Any], written: bool) -> Told:
    plain = {name: said[name] for name in ("source", "label", "score")}
    mark = _mark(*plain.values(), said["comment"])
    more = {"comment": said["comment"]} if written else {}
    return f"{job_id}:feedback:{mark}", FeedbackGiven.event, said["at"], {**plain, **more}


def _cost(job_id: str, span: Mapping[str, Any]) -> Told:
    call = span["attributes"]
    usage, failure = call["usage"] or {}, call["failure"]
    mark = _mark(call["outcome"], call["billed"], call["late"], call["cost_usd"], *usage.values())
    at = span["ended_at"] or span["started_at"]
    return f"{job_id}:call:{call['attempt_no']}:{mark}", ModelCostLogged.event, at, {
        **{name: call[name] for name in _OF_CALLS},
        **{f"{kind}_tokens": usage.get(kind) for kind in _TOKENS},
        "failure_class": failure and failure["class"],
        "started_at": span["started_at"],
    }  # fmt: skip


_OF_CALLS = (
    "attempt_no", "deployment", "provider", "model", "provider_model", "region", "service_tier", "outcome", "billed",
    "late", "cost_usd", "reserved_usd", "seconds",
)  # fmt: skip


def _similarity(job_id: str, compared: Mapping[str, Any]) -> Told:
    near = {name: compared[name] for name in ("matched_job_id", "score")} | {"matches": len(compared["matches"] or ())}
    said = {**near, "embedder": compared["embedder"]}
    return f"{job_id}:similarity", PromptSimilarityLogged.event, compared["at"], said


def _costs(call: Mapping[str, Any]) -> bool:
    return call["outcome"] != Outcome.OPEN and call["billed"] in (Billed.YES, Billed.MAYBE)


def _about(job: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: job[name] for name in ("trace_id", "run_id", "organization", "workspace", "lane")}
    return {"job_id": job["id"], **said}


def _person(job: Mapping[str, Any]) -> dict[str, str]:
    """Whose event it is: a user's, or nobody's of a workspace. Never both ids: that would join users into one."""
    names = [job["organization"], job["workspace"], job["user"]]
    path = "/".join(quote(name, safe=_PLAIN) for name in names if name is not None)
    return {"anonymousId": path} if job["user"] is None else {"userId": path}


def _findings(verdict: Mapping[str, Any] | None) -> list[str]:
    if verdict is None:
        return []
    return sorted({each["guard"] for each in verdict["findings"] if each["decision"] != Decision.ALLOW})


def _sum(calls: list[dict[str, Any]], kind: str) -> int:
    return sum((call["usage"] or {}).get(kind) or 0 for call in calls)


def _seconds(since: str, until: str) -> float:
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()


def _json(value: Any) -> str | None:
    """As text: what is nested deep, or has names of its own, would become columns of a warehouse."""
    return None if value is None else orjson.dumps(value).decode()


def _mark(*said: object) -> str:
    """Short and the same for the same: tells what was said from what is said later of the same thing."""
    return hashlib.blake2b("\x00".join(map(str, said)).encode(), digest_size=8).hexdigest()


def _when(event: Event) -> str:
    at: str = event["timestamp"]
    return at
