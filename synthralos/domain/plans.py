"""Routing plans: the deployments to try in order, each with its reason, and what was excluded and why.

Those that the route stage makes hold columns (`plan_columns`).
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from synthralos.domain.exclusions import Cause, recorded
from synthralos.domain.money import SCALE, ServiceTier
from synthralos.domain.plan_columns import Exclusion, Exclusions, Group, Picked, Step, Steps, usd
from synthralos.domain.prompt_caches import PromptCache

__all__ = ["Exclusion", "Exclusions", "Group", "Picked", "RoutingPlan", "Step", "Steps", "published", "usd"]

_PICO = Decimal(10) ** SCALE


@dataclass(frozen=True, slots=True, eq=False)
class RoutingPlan:
    """The ordered steps; `cursor` is the index of the step that is tried now or next.

    `key` names the plan by its content, whatever the cursor: jobs that are alike share one stored plan. Plans are equal
    that have equal keys and cursors. `known_key` is the one it was stored under, if it was.
    """

    strategy: str
    steps: Sequence[Step]
    exclusions: Sequence[Exclusion] = ()
    cursor: int = 0
    known_key: str = field(default="", repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoutingPlan) and (self.key, self.cursor) == (other.key, other.cursor)

    def __hash__(self) -> int:
        return hash((self.key, self.cursor))

    @property
    def key(self) -> str:
        """The name of the plan's content. Made when it is first asked for: what is only explained needs none."""
        if not self.known_key:
            object.__setattr__(self, "known_key", _key(self))
        return self.known_key

    @property
    def current(self) -> Step | None:
        """The step at the cursor, or None when the plan is used up."""
        return self.steps[self.cursor] if self.cursor < len(self.steps) else None

    def standard_of(self, cursor: int) -> int | None:
        """The next step, where it is the same deployment as that at `cursor` at the standard service tier."""
        if cursor + 1 >= len(self.steps):
            return None
        step, following = self.steps[cursor], self.steps[cursor + 1]
        same = step.deployment == following.deployment and step.service_tier is not ServiceTier.STANDARD
        return cursor + 1 if same else None

    def at(self, cursor: int) -> "RoutingPlan":
        """The same plan with its cursor elsewhere."""
        return replace(self, cursor=cursor, known_key=self.key)

    def to_json(self) -> dict[str, Any]:
        """The stored form with the cursor."""
        return {"cursor": self.cursor, **self.body()}

    def body(self) -> dict[str, Any]:
        """The stored form: everything but the cursor; `excluded` has the exclusions by cause.

        Processes of the release before read `exclusions`, so that is there, and empty.
        """
        return {
            "strategy": self.strategy,
            "steps": list(map(_step_json, self.steps)),
            "exclusions": [],
            "excluded": [
                {"rule": cause.rule, "details": cause.details, "deployments": deployments}
                for cause, deployments in _groups(self.exclusions)
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], key: str = "") -> "RoutingPlan":
        """The inverse of `to_json`; a stored body without a cursor is at its first step. `key` is the stored one."""
        steps = tuple(map(_step, data["steps"]))
        return cls(data["strategy"], steps, Exclusions(_stored_groups(data)), data.get("cursor", 0), key)


def published(body: Mapping[str, Any]) -> dict[str, Any]:
    """A stored body as it is shown: each excluded deployment with its rule, its details and the sentence of both, and
    what a step's prompt cache has to do with its place as a part of the reason.
    """
    told = {name: value for name, value in body.items() if name not in ("excluded", "exclusions")}
    told["steps"] = list(map(_told, body["steps"]))
    return {**told, "exclusions": [each for group in _stored_groups(body) for each in _exclusions_json(group)]}


def _told(step: dict[str, Any]) -> dict[str, Any]:
    if "prompt_cache" not in step:
        return step
    return {**step, "reason": f"{step['reason']}; {PromptCache.from_json(step['prompt_cache']).text}"}


def _exclusions_json(group: Group) -> Iterator[dict[str, Any]]:
    cause, deployments = group
    said = {"rule": cause.rule, "details": cause.details, "reason": cause.text}
    return ({"deployment": deployment, **said} for deployment in deployments)


def _stored_groups(body: Mapping[str, Any]) -> list[Group]:
    """The exclusions of a stored body, by cause. The release before stored a sentence with each deployment."""
    if "excluded" in body:
        return [(Cause(each["rule"], each["details"]), each["deployments"]) for each in body["excluded"]]
    return _together(Exclusion(each["deployment"], recorded(each["reason"])) for each in body.get("exclusions", ()))


def _step_json(step: Step) -> dict[str, Any]:
    cost = step.estimated_cost
    said: dict[str, Any] = {
        "deployment": step.deployment,
        "reason": step.reason,
        "estimated_cost_usd": None if cost is None else format(cost, "f"),
    }
    if step.service_tier is not ServiceTier.STANDARD:
        said["service_tier"] = step.service_tier
    if step.prompt_cache is not None:
        said["prompt_cache"] = step.prompt_cache.to_json()
    return said


def _step(data: dict[str, Any]) -> Step:
    cost = data["estimated_cost_usd"]
    tier = ServiceTier(data.get("service_tier", ServiceTier.STANDARD))
    cache = PromptCache.from_json(data["prompt_cache"]) if "prompt_cache" in data else None
    return Step(data["deployment"], data["reason"], None if cost is None else Decimal(cost), tier, cache)


def _key(plan: RoutingPlan) -> str:
    excluded = [(*cause, deployments) for cause, deployments in _groups(plan.exclusions)]
    deployments, reasons, *more = _columns(plan.steps)
    described = (plan.strategy, deployments, _digest(reasons), more, excluded)
    try:
        content = orjson.dumps(described)
    except TypeError:  # a cost beyond 64 bits
        content = repr(described).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _digest(reasons: Sequence[str]) -> str:
    return _known_digest(reasons) if isinstance(reasons, tuple) else _new_digest(reasons)


def _new_digest(reasons: Sequence[str]) -> str:
    return hashlib.blake2b(orjson.dumps(reasons), digest_size=16).hexdigest()


_known_digest = lru_cache(64)(_new_digest)
"""Of reasons that many plans share: they tell places alone, and are by far the longest part of a plan."""


def _columns(steps: Sequence[Step]) -> tuple[Any, ...]:
    if isinstance(steps, Steps):
        columns: tuple[Any, ...] = (list(steps.deployments), steps.reasons, list(steps.costs), {})
        return columns if steps.prompt_cache is None else (*columns, {"0": list(steps.prompt_cache)})
    costs = [None if step.estimated_cost is None else int(step.estimated_cost * _PICO) for step in steps]
    tiers = {str(n): step.service_tier for n, step in enumerate(steps) if step.service_tier is not ServiceTier.STANDARD}
    columns = ([step.deployment for step in steps], [step.reason for step in steps], costs, tiers)
    caches = {str(n): list(step.prompt_cache) for n, step in enumerate(steps) if step.prompt_cache is not None}
    return (*columns, caches) if caches else columns


def _groups(exclusions: Sequence[Exclusion]) -> Sequence[Group]:
    """One form for exclusions that are grouped and those that are not."""
    return exclusions.groups if isinstance(exclusions, Exclusions) else _together(exclusions)


def _together(exclusions: Iterable[Exclusion]) -> list[Group]:
    """Neighbors of one cause are a group."""
    groups: list[tuple[Cause, list[str]]] = []
    for deployment, cause in exclusions:
        if not groups or groups[-1][0] != cause:
            groups.append((cause, []))
        groups[-1][1].append(deployment)
    return [*groups]
