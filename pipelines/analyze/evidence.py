"""The published evidence of a job: why each of its calls went where it went, and whether it kept to what was demanded.

Made from what was stored when the calls were made; what the catalog says today plays no part in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.analyze.trace import rfc3339
from synthralos.domain.attempts import Outcome
from synthralos.domain.evidence import Declared, EvidenceRows, broken
from synthralos.domain.exports import Kind, SetAside
from synthralos.domain.plans import published
from synthralos.domain.residency import home_of

Row = Mapping[str, Any]

_MOVES = frozenset({"healed", "retry", "reroute", "lost", "isolated"})
"""Events after which a job is called for again."""

_CALLED = (
    "attempt_no",
    "deployment",
    "provider",
    "model",
    "region",
    "outcome",
    "billed",
    "late",
    "provider_request_id",
)


def evidence_view(
    job: Row, found: EvidenceRows, exports: Mapping[str, SetAside | None] | None = None
) -> dict[str, Any]:
    """The evidence as it is answered. `job` is a row of `Reader.jobs`; `exports`: `ExportOperations.of_job`."""
    acts = [_act(event) for event in found.events]
    plans = {key: published(body) for key, body in sorted(found.plans.items())}
    calls = [_call(call, _because(call, found.calls, acts), plans) for call in found.calls]
    return {
        "job_id": job["id"],
        "state": job["state"],
        "classification": _classification(job, found.handed_in, acts),
        "conclusion": _conclusion(job["constraints"].get("classification"), calls),
        "calls": calls,
        "acts": acts,
        "plans": [{"key": key, **plan} for key, plan in plans.items()],
        "plan": job["plan"],
        "verdict": job["verdict"],
        "exports": [_export(name, aside) for name, aside in sorted((exports or {}).items())],
    }


def who(actor: str) -> str:
    """What kind of actor it is: `heal`, `system`, `stackstorm` or `operator`.

    The StackStorm pack acts with a key as operators do, and says that it is the pack.
    """
    if actor in ("heal", "system"):
        return actor
    if actor in ("sweeper", "scheduler"):
        return "system"
    return "stackstorm" if actor.partition("/")[0] == "stackstorm" else "operator"


def _export(destination: str, aside: SetAside | None) -> dict[str, Any]:
    if aside is None:
        return {"destination": destination, "state": "owed", "reason": None, "at": None}
    reason = aside.reason if aside.kind is Kind.WITHHELD else None  # what a destination said is for operators
    return {"destination": destination, "state": aside.kind, "reason": reason, "at": rfc3339(aside.at)}


def _act(event: Row) -> dict[str, Any]:
    data = event["data"]
    return {
        "kind": event["kind"],
        "by": who(event["actor"]),
        "actor": event["actor"],
        "at": rfc3339(event["at"]),
        "after_calls": data.get("attempts"),
        "reason": data.get("reason"),
        "failure": data.get("failure"),
        "changes": data.get("changes"),
    }


def _because(call: Row, calls: Sequence[Row], acts: Sequence[dict[str, Any]]) -> Row | None:
    """The last act that sent the job on its way to this call; None where nobody had to: it is the first one."""
    before: int = call["attempt_no"] - 1
    moved = [act for act in acts if act["after_calls"] == before and act["kind"] in _MOVES]
    if moved:
        return moved[-1]
    cut = any(other["attempt_no"] == before and other["outcome"] == Outcome.CANCELLED for other in calls)
    if not cut:
        return None
    given_back = {"kind": "released", "by": "system", "actor": "worker", "after_calls": before}
    return {**given_back, "at": None, "reason": "its worker shut down", "failure": None, "changes": None}


def _call(call: Row, because: Row | None, plans: Mapping[str, Row]) -> dict[str, Any]:
    grounds = call["grounds"]
    view = {name: call[name] for name in _CALLED}
    view |= {"started_at": rfc3339(call["started_at"]), "ended_at": rfc3339(call["ended_at"]), "because": because}
    if grounds is None:
        return {**view, "residency": None, "zero_retention": None, "kept": None, "broken": [], "grounds": None}
    wrong = broken(grounds, Declared(call["region"], call["residency"], call["zero_retention"]))
    return {
        **view,
        "residency": call["residency"],
        "zero_retention": call["zero_retention"],
        "kept": not wrong,
        "broken": wrong,
        "grounds": {
            **grounds,
            "required_residency": home_of(grounds["classification"]),
            "step": _step(plans.get(grounds["plan_key"]), call["deployment"]),
        },
    }


def _step(plan: Row | None, deployment: str) -> dict[str, Any] | None:
    """The plan's word on the deployment that was called, with its place (from 1)."""
    for number, step in enumerate([] if plan is None else plan["steps"], 1):
        if step["deployment"] == deployment:
            return {"number": number, "reason": step["reason"]}
    return None


def _classification(job: Row, handed_in: Row, acts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The class of the job's data, what it is bound to, and who said so."""
    value = job["constraints"].get("classification")
    changed = [act for act in acts if "classification" in (act["changes"] or {})]
    source = "sender" if value == handed_in.get("classification") and value is not None else "nobody"
    if changed:
        source = changed[-1]["by"]
    return {"value": value, "source": source, "required_residency": home_of(value)}


def _conclusion(classification: str | None, calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Whether all calls kept to what they were bound to, and to where the data belongs now, in one sentence."""
    required = home_of(classification)
    unknown = [call["attempt_no"] for call in calls if call["kept"] is None]
    outside = [call["attempt_no"] for call in calls if call["kept"] is False or _strayed(call, required)]
    counted = {"calls": len(calls), "kept": len(calls) - len(unknown) - len(outside)}
    holds = False if outside else None if unknown else True
    text = _sentence(classification, len(calls), outside, unknown)
    return {
        "required_residency": required,
        **counted,
        "broken": outside,
        "unknown": unknown,
        "holds": holds,
        "text": text,
    }


def _strayed(call: dict[str, Any], required: str | None) -> bool:
    return required is not None and call["kept"] is not None and call["residency"] != required


def _sentence(classification: str | None, calls: int, outside: Sequence[int], unknown: Sequence[int]) -> str:
    required = home_of(classification)
    if outside:
        missed = "what was demanded" if required is None else f"{required.upper()} deployments"
        return f"{_named(outside)} of {calls} did not keep to {missed}"
    if unknown:
        return f"nothing is known of {_named(unknown)} of {calls}: made before evidence was kept"
    if not calls:
        return "no call was made"
    count = "the only call" if calls == 1 else f"all {calls} calls"
    if required is not None:
        return f"{count} went to {required.upper()} deployments"
    return f"{count} kept to what was demanded; the data is bound to no residency"


def _named(numbers: Sequence[int]) -> str:
    return f"{'call' if len(numbers) == 1 else 'calls'} {', '.join(map(str, numbers))}"
