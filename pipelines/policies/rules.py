"""Policy-set documents: checked to the last member, and made into rules that can be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any, Literal

from pipelines.policies.actions import Action, read_action
from pipelines.policies.conditions import ALWAYS, Condition, read_condition
from pipelines.policies.facts import Facts
from pipelines.policies.problems import Problems, shown
from synthralos.domain.findings import Decision
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.policies import Approval

MOST_RULES = 1_000
MOST_DESCRIPTION = 2_000
_LONGEST_ID = 100
_RULE = frozenset({"id", "description", "when", "then", "on_error", "enabled"})
_SET = frozenset({"name", "priority", "enabled", "shadow", "share", "effective_from", "effective_until", "rules"})

OnError = Literal["skip", "deny"]


@dataclass(frozen=True, slots=True)
class Decided:
    """What a rule decides about a job that it matches: what it says, how long the job waits, what is to be approved."""

    decision: Decision
    text: str
    seconds: float
    approval: Approval | None


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule that can be asked; compared by identity. `on_error`: what becomes of a job that it cannot be asked about.

    `always`: what it decides where that is the same for all jobs that it matches.
    """

    id: str
    condition: Condition
    actions: tuple[Action, ...]
    on_error: OnError
    overlay: Overlay
    always: Decided | None

    @property
    def decision(self) -> Decision:
        """What it decides at least, of each job that it matches."""
        return _decided(self.id, [each for each in self.actions if each.applies is None]).decision

    def decided(self, facts: Facts) -> Decided:
        """What it decides about a job that it matches."""
        if self.always is not None:
            return self.always
        return _decided(self.id, [each for each in self.actions if each.applies is None or each.applies(facts)])

    def approved(self, facts: Facts, by: str) -> Decided:
        """What it decides about a job that `by` has approved: the same, without asking for that."""
        left = [a for a in self.actions if a.approval is None and (a.applies is None or a.applies(facts))]
        rest = _decided(self.id, left) if left else None
        text = f"it was approved by {by}{'; ' if rest else ''}{rest.text if rest else ''}"
        return Decided(rest.decision if rest else Decision.ALLOW, text, rest.seconds if rest else 0.0, None)


def _decided(rule: str, actions: Sequence[Action]) -> Decided:
    return Decided(
        max((action.decision for action in actions), key=list(Decision).index, default=Decision.ALLOW),
        "; ".join(action.text for action in actions if action.text)
        or f"the rule {rule} applies: {', '.join(action.name for action in actions)}",
        max((action.seconds for action in actions), default=0.0),
        _together([action.approval for action in actions if action.approval is not None]),
    )


def _together(approvals: Sequence[Approval]) -> Approval | None:
    return reduce(Approval.merged, approvals) if approvals else None


def read_document(document: Any) -> tuple[Rule, ...]:
    """The rules of a policy set as people write it; raises `InvalidPolicy` with all that is wrong."""
    problems = Problems()
    if not isinstance(document, Mapping):
        problems.add("policy", "is no object", "send a policy set: a name and rules")
        problems.raise_any()
    for name in document.keys() - _SET:
        path = f"{name:.80}" or "policy"
        problems.add(path, f"{shown(name)} is no member of a policy set", f"use {', '.join(sorted(_SET))}")
    _members(document, problems)
    found = read_rules(document.get("rules"), problems)
    problems.raise_any()
    return found


def read_rules(rules: Any, problems: Problems) -> tuple[Rule, ...]:
    """The rules of their JSON, without those that are wrong, which `problems` hears of, and those switched off."""
    if not isinstance(rules, list | tuple) or not rules or len(rules) > MOST_RULES:
        problems.add("rules", "is no list of rules, or has too many", f"list 1 to {MOST_RULES:,} of them")
        return ()
    names: set[str] = set()
    found = [_rule(rule, f"rules[{n}]", names, problems) for n, rule in enumerate(rules)]
    return tuple(rule for rule in found if rule is not None)


def _members(document: Mapping[str, Any], problems: Problems) -> None:
    name, priority, share = document.get("name"), document.get("priority", 0), document.get("share", 100)
    if not isinstance(name, str) or not 0 < len(name) <= 200 or "\0" in name:
        problems.add("name", "is missing or no text of 1 to 200 characters", "name the set")
    if not isinstance(priority, int) or isinstance(priority, bool) or abs(priority) > 1_000_000:
        problems.add("priority", f"{shown(priority)} is no whole number", "give one; a higher one comes first")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 100:
        problems.add("share", f"{shown(share)} is no percentage", "give 0 to 100")
    for switch in ("enabled", "shadow"):
        if not isinstance(document.get(switch, True), bool):
            problems.add(switch, "is not true or false", "give one of them")
    times = [_moment(document.get(end), end, problems) for end in ("effective_from", "effective_until")]
    if times[0] is not None and times[1] is not None and times[0] >= times[1]:
        problems.add("effective_until", "is not after effective_from", "the set would never hold: give a later time")


def _moment(text: Any, path: str, problems: Problems) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment
    except (TypeError, ValueError):
        pass
    problems.add(path, f"{shown(text)} is no time with a zone", "write it as 2026-01-31T00:00:00+01:00")
    return None


def _wrong_id(rule_id: Any, names: set[str]) -> str | None:
    """Why it is no id of a rule; None: it is one. `names` are those of the rules before."""
    if rule_id is None:
        return "is missing"
    if not isinstance(rule_id, str) or not rule_id:
        return f"{shown(rule_id)} is no name"
    if len(rule_id) > _LONGEST_ID:
        return f"has more than {_LONGEST_ID} characters"
    return f"{shown(rule_id)} is another rule's too" if rule_id in names else None


def _rule(data: Any, path: str, names: set[str], problems: Problems) -> Rule | None:
    before = len(problems.found)
    if not isinstance(data, Mapping):
        problems.add(path, "is no rule", "write an object with id, when and then")
        return None
    for name in data.keys() - _RULE:
        problems.add(f"{path}.{name:.80}", "is no member of a rule", f"use {', '.join(sorted(_RULE))}")
    rule_id, on_error, enabled = data.get("id"), data.get("on_error", "skip"), data.get("enabled", True)
    wrong = _wrong_id(rule_id, names)
    if wrong is not None:
        problems.add(f"{path}.id", wrong, f"give each rule an id of its own, of at most {_LONGEST_ID} characters")
    else:
        names.add(str(rule_id))
    if on_error not in ("skip", "deny"):
        problems.add(f"{path}.on_error", f"{shown(on_error)} is neither", "use skip or deny")
    if not isinstance(enabled, bool):
        problems.add(f"{path}.enabled", f"{shown(enabled)} is not true or false", "give one of them")
    if not isinstance(description := data.get("description", ""), str) or len(description) > MOST_DESCRIPTION:
        problems.add(f"{path}.description", "is no text, or too long", f"give up to {MOST_DESCRIPTION:,} characters")
    condition = read_condition(data["when"], f"{path}.when", problems) if "when" in data else ALWAYS
    actions = _actions(data.get("then"), f"{path}.then", problems)
    if len(problems.found) > before or not enabled:
        return None
    overlay = NO_DEMANDS
    for action in actions:
        overlay = overlay.merged(action.overlay)
    if (why := overlay.impossible()) is not None:
        problems.add(f"{path}.then", f"contradicts itself: {why}", "let its actions leave something")
        return None
    always = None if any(action.applies for action in actions) else _decided(str(rule_id), actions)
    return Rule(str(rule_id), condition, actions, on_error, overlay, always)


def _actions(data: Any, path: str, problems: Problems) -> tuple[Action, ...]:
    if not isinstance(data, list) or not 0 < len(data) <= 20:
        problems.add(path, "is no list of actions", 'list 1 to 20, such as {"action": "deny", "reason": "…"}')
        return ()
    found = [read_action(each, f"{path}[{n}]", problems) for n, each in enumerate(data)]
    return tuple(action for action in found if action is not None)
