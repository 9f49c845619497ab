"""Actions: what a rule does to the jobs that it matches."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pipelines.policies.problems import Problems, Unfit, shown
from pipelines.privacy.kinds import Kind
from synthralos.domain.deployments import Tier
from synthralos.domain.findings import Decision
from synthralos.domain.overlays import NO_DEMANDS, Overlay

APPROVAL_SECONDS = 300.0
"""For so long a job waits that needs an approval, before it is asked about again."""

LONGEST_DEFER = 31 * 86_400.0
MOST_NAMES = 200


@dataclass(frozen=True, slots=True)
class Action:
    """What it decides, what it demands of the job's way, and for how long the job waits where it is deferred."""

    name: str
    decision: Decision = Decision.ALLOW
    overlay: Overlay = NO_DEMANDS
    seconds: float = 0.0
    text: str = ""
    approval: str | None = None


def read_action(data: Any, path: str, problems: Problems) -> Action | None:
    """The action of its JSON; None where it is wrong, which `problems` hears of."""
    name = data.get("action") if isinstance(data, Mapping) else None
    reader = _ACTIONS.get(name) if isinstance(name, str) else None
    if reader is None:
        problems.add(f"{path}.action", f"{shown(name)} is no action", f"use one of {', '.join(sorted(_ACTIONS))}")
        return None
    allowed, read = reader
    for member in data.keys() - {"action", *allowed}:
        problems.add(f"{path}.{member:.80}", f"is no member of {name}", f"it takes {', '.join(allowed) or 'none'}")
    try:
        return read(data)
    except Unfit as error:
        problems.unfit(f"{path}.{allowed[0] if allowed else 'action'}", error)
        return None


def _reason(data: Mapping[str, Any], usual: str) -> str:
    text = data.get("reason", usual)
    if not isinstance(text, str) or not text or len(text) > 500:
        raise Unfit("the reason is no text of 1 to 500 characters", "say it in a sentence")
    return text


def _names(data: Mapping[str, Any], member: str) -> list[str]:
    found = data.get(member)
    if not isinstance(found, list) or not 0 < len(found) <= MOST_NAMES:
        raise Unfit(f"{shown(found)} is no list of names", f"list 1 to {MOST_NAMES}")
    wrong = [name for name in found if not isinstance(name, str) or not name or len(name) > 200]
    if wrong:
        raise Unfit(f"{shown(wrong[0])} is no name", "give texts of 1 to 200 characters")
    return found


def _deny(data: Mapping[str, Any]) -> Action:
    return Action("deny", Decision.DENY, text=_reason(data, "a policy denies it"))


def _flag(data: Mapping[str, Any]) -> Action:
    return Action("flag", Decision.FLAG, text=_reason(data, "a policy flags it"))


def _defer(data: Mapping[str, Any]) -> Action:
    seconds = data.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 1 <= seconds <= LONGEST_DEFER:
        raise Unfit(f"{shown(seconds)} are no seconds to wait", f"give 1 to {LONGEST_DEFER:,.0f}")
    return Action("defer", Decision.DEFER, seconds=float(seconds), text=_reason(data, "a policy lets it wait"))


def _approval(data: Mapping[str, Any]) -> Action:
    by = data.get("by", "an operator")
    if not isinstance(by, str) or not by or len(by) > 200:
        raise Unfit(f"{shown(by)} names nobody", "say who has to approve it")
    text = _reason(data, f"it waits for an approval by {by}")
    return Action("require_approval", Decision.DEFER, seconds=APPROVAL_SECONDS, text=text, approval=by)


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
    given = data.get("usd")
    try:
        amount = Decimal(given if isinstance(given, str) else repr(given))
    except (InvalidOperation, ValueError):
        amount = Decimal("nan")
    if isinstance(given, bool) or not amount.is_finite() or amount <= 0:
        raise Unfit(f"{shown(given)} is no amount in USD", "give one above 0, such as 0.05")
    return Action("cap_cost", overlay=Overlay(max_cost=amount))


def _redact(data: Mapping[str, Any]) -> Action:
    kinds, known = _names(data, "kinds"), {str(kind) for kind in Kind}
    wrong = [kind for kind in kinds if kind not in known]
    if wrong:
        raise Unfit(f"{shown(wrong[0])} is no kind of private data", f"use some of {', '.join(sorted(known))}")
    return Action("redact", overlay=Overlay(redact=frozenset(kinds)))


def _guard(data: Mapping[str, Any]) -> Action:
    return Action("require_guard", overlay=Overlay(guards=frozenset(_names(data, "guards"))))


_ACTIONS: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Action]]] = {
    "deny": (("reason",), _deny),
    "flag": (("reason",), _flag),
    "defer": (("seconds", "reason"), _defer),
    "require_approval": (("by", "reason"), _approval),
    "require_region": (("regions",), _region),
    "allow_models": (("models",), _allow),
    "forbid_models": (("models",), _forbid),
    "prefer": (("models",), _prefer),
    "set_tier": (("tier",), _tier),
    "cap_cost": (("usd",), _cap),
    "redact": (("kinds",), _redact),
    "require_guard": (("guards",), _guard),
}
"""Each action by name: the members that it takes, and what reads it."""
