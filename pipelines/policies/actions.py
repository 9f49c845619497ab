"""Actions: what a rule does to the jobs that it matches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.policies.facts import Facts
from pipelines.policies.operands import usd
from pipelines.policies.patterns import searcher
from pipelines.policies.problems import Problems, Unfit, shown
from pipelines.privacy.kinds import Kind
from synthralos.domain.deployments import Tier
from synthralos.domain.findings import Decision
from synthralos.domain.jobs import CHEAPEST, SAME
from synthralos.domain.output_checks import OutputCheck, no_length_left
from synthralos.domain.overlays import NO_DEMANDS, Overlay, Priority
from synthralos.domain.policies import Approval
from synthralos.domain.waits import LONGEST_WAIT_POINT

APPROVAL_SECONDS = 7 * 86_400.0
"""For so long a job waits for an approval where the rule does not say otherwise; then it is denied."""

LONGEST_DEFER = 31 * 86_400.0
MOST_NAMES = 200
MOST_ANSWER = 10_000_000
"""Characters that a check of answers may speak of."""


NARROWING = frozenset({"require_region", "allow_models", "forbid_models", "set_tier", "cap_cost"})
"""The actions that leave fewer deployments."""


@dataclass(frozen=True, slots=True)
class Action:
    """What it decides, what it demands of the job's way, and for how long the job waits where it is deferred.

    `applies`: for which of the jobs that the rule matches it decides that; None: for all of them.
    """

    name: str
    decision: Decision = Decision.ALLOW
    overlay: Overlay = NO_DEMANDS
    seconds: float = 0.0
    text: str = ""
    approval: Approval | None = None
    applies: Callable[[Facts], bool] | None = None


def read_action(data: Any, path: str, problems: Problems) -> Action | None:
    """The action of its JSON; None where it is wrong, which `problems` hears of."""
    name = data.get("action") if isinstance(data, Mapping) else None
    reader = _ACTIONS.get(name) if isinstance(name, str) else None
    if reader is None:
        problems.add(f"{path}.action", f"{shown(name)} is no action", f"use one of {', '.join(sorted(_ACTIONS))}")
        return None
    allowed, read = reader
    for member in data.keys() - {"action", *allowed}:
        problems.add(f"{path}.{member:.80}", f"is no member of {name}", f"it takes {', '.join(allowed)}")
    try:
        return read(data)
    except Unfit as error:
        problems.unfit(f"{path}.{error.member or allowed[0]}", error)
        return None


def _reason(data: Mapping[str, Any], usual: str) -> str:
    text = data.get("reason", usual)
    if not isinstance(text, str) or not text or len(text) > 500:
        raise Unfit("the reason is no text of 1 to 500 characters", "say it in a sentence", "reason")
    return text


def _names(data: Mapping[str, Any], member: str) -> list[str]:
    found = data.get(member)
    if not isinstance(found, list) or not 0 < len(found) <= MOST_NAMES:
        raise Unfit(f"{shown(found)} is no list of names", f"list 1 to {MOST_NAMES}", member)
    wrong = [name for name in found if not isinstance(name, str) or not name or len(name) > 200]
    if wrong:
        raise Unfit(f"{shown(wrong[0])} is no name", "give texts of 1 to 200 characters", member)
    return found


def _deny(data: Mapping[str, Any]) -> Action:
    return Action("deny", Decision.DENY, text=_reason(data, "a policy denies it"))


def _flag(data: Mapping[str, Any]) -> Action:
    return Action("flag", Decision.FLAG, text=_reason(data, "a policy flags it"))


def _defer(data: Mapping[str, Any]) -> Action:
    seconds = data.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 1 <= seconds <= LONGEST_DEFER:
        raise Unfit(f"{shown(seconds)} are no seconds to wait", f"give 1 to {LONGEST_DEFER:,.0f}", "seconds")
    return Action("defer", Decision.DEFER, seconds=float(seconds), text=_reason(data, "a policy lets it wait"))


def _approval(data: Mapping[str, Any]) -> Action:
    by = data.get("by", "an operator")
    if not isinstance(by, str) or not by or len(by) > 200:
        raise Unfit(f"{shown(by)} names nobody", "say who has to approve it")
    seconds, on_silence = data.get("within_seconds", APPROVAL_SECONDS), data.get("default", "deny")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 1 <= seconds <= LONGEST_WAIT_POINT:
        remedy = f"give 1 to {LONGEST_WAIT_POINT:,.0f}, or leave it out for seven days"
        raise Unfit(f"{shown(seconds)} are no seconds to wait", remedy, "within_seconds")
    if on_silence not in ("approve", "deny"):
        raise Unfit(f"{shown(on_silence)} is neither", "give approve or deny: it holds when nobody answers", "default")
    text, asked = _reason(data, f"it waits for an approval by {by}"), Approval(by, float(seconds), on_silence)
    return Action("require_approval", Decision.DEFER, seconds=asked.seconds, text=text, approval=asked)


def _region(data: Mapping[str, Any]) -> Action:
    return Action("require_region", overlay=Overlay(regions=frozenset(_names(data, "regions"))))


def _allow(data: Mapping[str, Any]) -> Action:
    return Action("allow_models", overlay=Overlay(allowed_models=frozenset(_names(data, "models"))))


def _forbid(data: Mapping[str, Any]) -> Action:
    return Action("forbid_models", overlay=Overlay(forbidden_models=frozenset(_names(data, "models"))))


def _prefer(data: Mapping[str, Any]) -> Action:
    return Action("prefer", overlay=Overlay(prefer=tuple(_names(data, "models"))))


def _tier(data: Mapping[str, Any]) -> Action:
    tier = data.get("tier")
    if tier not in list(Tier):
        raise Unfit(f"{shown(tier)} is no tier", f"use {', '.join(Tier)}")
    return Action("set_tier", overlay=Overlay(tier=Tier(tier)))


def _cap(data: Mapping[str, Any]) -> Action:
    amount = usd(data.get("usd"))
    if not amount:
        raise Unfit("allows nothing to be paid", "give an amount above 0, or deny the job")
    return Action("cap_cost", overlay=Overlay(max_cost=amount))


def _redact(data: Mapping[str, Any]) -> Action:
    kinds, known = _names(data, "kinds"), {str(kind) for kind in Kind}
    wrong = [kind for kind in kinds if kind not in known]
    if wrong:
        raise Unfit(f"{shown(wrong[0])} is no kind of private data", f"use some of {', '.join(sorted(known))}")
    return Action("redact", overlay=Overlay(redact=frozenset(kinds)))


def _guard(data: Mapping[str, Any]) -> Action:
    return Action("require_guard", overlay=Overlay(guards=frozenset(_names(data, "guards"))))


def _schema(data: Mapping[str, Any]) -> Action:
    """The sender's program reads the answer, so the sender says what it looks like: no policy changes that."""
    text = _reason(data, "it has to name a JSON Schema that its answer fits, in response_format")
    demand = Overlay(output_schema=True)
    return Action("require_schema", Decision.DENY, demand, text=text, applies=lambda facts: not facts["output_schema"])


def _priority(data: Mapping[str, Any]) -> Action:
    priority = data.get("priority")
    if priority not in list(Priority):
        raise Unfit(f"{shown(priority)} is no priority", f"use {', '.join(Priority)}")
    return Action("set_priority", overlay=Overlay(priority=Priority(priority)))


def _hedge(_: Mapping[str, Any]) -> Action:
    return Action("hedge", overlay=Overlay(hedge=True))


def _repair_output(data: Mapping[str, Any]) -> Action:
    model = data.get("model")
    if not isinstance(model, str) or not model or len(model) > 200:
        raise Unfit(f"{shown(model)} names nobody", f"give {SAME}, {CHEAPEST}, a model, a deployment or an alias")
    return Action("repair_output", overlay=Overlay(repair_model=model))


def _check_output(data: Mapping[str, Any]) -> Action:
    reason = _reason(data, "?") if "reason" in data else None
    least, most = (_characters(data, member) for member in _LENGTHS)
    wanted, unwanted = (_pattern(data, member) for member in _PATTERNS)
    check = OutputCheck(least, most, wanted, unwanted, reason)
    if check == OutputCheck(reason=reason):
        raise Unfit("checks nothing", f"give some of {', '.join((*_LENGTHS, *_PATTERNS))}", "min_characters")
    if no_length_left([check]):
        raise Unfit("leaves no length", "give more than min_characters", "max_characters")
    return Action("check_output", overlay=Overlay(output_checks=(check,)))


def _characters(data: Mapping[str, Any], member: str) -> int | None:
    count = data.get(member)
    if member in data and (type(count) is not int or not 1 <= count <= MOST_ANSWER):
        raise Unfit(f"{shown(count)} is no number of characters", f"give an integer from 1 to {MOST_ANSWER:,}", member)
    return count


def _pattern(data: Mapping[str, Any], member: str) -> str | None:
    pattern = data.get(member)
    if member not in data:
        return None
    if not isinstance(pattern, str) or not pattern:
        raise Unfit(f"{shown(pattern)} is no expression", "give a regular expression as a text", member)
    try:
        searcher(pattern)
    except Unfit as error:
        raise Unfit(error.problem, error.remedy, member) from None
    return pattern


def _on_guard(name: str, field: str, usual: str) -> Callable[[Mapping[str, Any]], Action]:
    """The action for jobs that a guard stopped at, or could not look at: `field` is where that is read."""

    def read(data: Mapping[str, Any]) -> Action:
        guards = frozenset(_names(data, "guards")) if "guards" in data else None
        decision = data.get("decision")
        if not isinstance(decision, str) or decision not in _GRAVE:
            raise Unfit(f"{shown(decision)} is no decision", f"give decision as {', '.join(_GRAVE)}")
        seconds = _defer(data).seconds if decision == "defer" else 0.0
        if "seconds" in data and decision != "defer":
            raise Unfit(
                "has seconds to wait, and does not defer", "leave seconds out, or give decision as defer", "seconds"
            )

        def applies(facts: Facts) -> bool:
            seen = facts[field]
            return isinstance(seen, list) and bool(seen if guards is None else guards.intersection(seen))

        return Action(name, _GRAVE[decision], seconds=seconds, text=_reason(data, usual), applies=applies)

    return read


_LENGTHS, _PATTERNS = ("min_characters", "max_characters"), ("must_match", "must_not_match")
_GRAVE = {"flag": Decision.FLAG, "defer": Decision.DEFER, "deny": Decision.DENY}
_ON_GUARD = ("decision", "guards", "seconds", "reason")

_ACTIONS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Action]]] = {
    "deny": (("reason",), _deny),
    "flag": (("reason",), _flag),
    "defer": (("seconds", "reason"), _defer),
    "require_approval": (("by", "within_seconds", "default", "reason"), _approval),
    "require_region": (("regions",), _region),
    "allow_models": (("models",), _allow),
    "forbid_models": (("models",), _forbid),
    "prefer": (("models",), _prefer),
    "set_tier": (("tier",), _tier),
    "cap_cost": (("usd",), _cap),
    "redact": (("kinds",), _redact),
    "require_guard": (("guards",), _guard),
    "require_schema": (("reason",), _schema),
    "set_priority": (("priority",), _priority),
    "hedge": ((), _hedge),
    "repair_output": (("model",), _repair_output),
    "check_output": ((*_LENGTHS, *_PATTERNS, "reason"), _check_output),
    "on_guard_failure": (_ON_GUARD, _on_guard("on_guard_failure", "guards_failed", "a guard found fault with it")),
    "on_guard_error": (_ON_GUARD, _on_guard("on_guard_error", "guards_errored", "a guard could not look at it")),
}
"""Each action by name: the members that it takes, and what reads it."""
