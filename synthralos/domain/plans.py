"""Routing plans: the deployments to try in order, each with its reason, and what was excluded and why.

A catalog may have a thousand deployments, and most plans are never looked at beyond their first step. So a plan may
hold its steps and exclusions as columns, of which single ones are made when they are asked for.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar, overload

import orjson

from synthralos.domain.exclusions import Cause, recorded
from synthralos.domain.money import SCALE, ServiceTier
from synthralos.domain.prompt_caches import PromptCache

_PICO = Decimal(10) ** SCALE


class Step(NamedTuple):
    """One deployment to try, at a service tier. `estimated_cost` is in USD, None where the price is unknown.

    `reason` is the strategy's; `prompt_cache` is what gave it that place besides.
    """

    deployment: str
    reason: str
    estimated_cost: Decimal | None
    service_tier: ServiceTier = ServiceTier.STANDARD
    prompt_cache: PromptCache | None = None


class Exclusion(NamedTuple):
    """One deployment that may not or need not be tried, and why."""

    deployment: str
    cause: Cause

    @property
    def reason(self) -> str:
        """The cause as a sentence."""
        return self.cause.text


Group = tuple[Cause, Sequence[str]]
"""What one cause keeps away: the cause, and the ids of the deployments."""

_Item = TypeVar("_Item", Step, Exclusion)


class _Column(Sequence[_Item], Generic[_Item]):
    """A sequence whose items are made when they are asked for."""

    __slots__ = ()

    def _item(self, index: int) -> _Item:
        raise NotImplementedError

    def __iter__(self) -> Iterator[_Item]:
        return map(self._item, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_Item, ...]: ...
    def __getitem__(self, index: int | slice) -> _Item | tuple[_Item, ...]:
        found = range(len(self))[index]
        return self._item(found) if isinstance(found, int) else tuple(map(self._item, found))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class Steps(_Column[Step]):
    """Steps at the standard tier, as columns: ids, reasons, and costs in 10^-12 USD (None: unknown).

    `prompt_cache` is that of the first step, which is kept once it was made: every job asks for it several times, and
    seldom for another.
    """

    __slots__ = ("_first", "costs", "deployments", "prompt_cache", "reasons")

    def __init__(
        self,
        deployments: Sequence[str],
        reasons: Sequence[str],
        costs: Sequence[int | None],
        prompt_cache: PromptCache | None = None,
    ) -> None:
        self.deployments, self.reasons, self.costs, self.prompt_cache = deployments, reasons, costs, prompt_cache
        self._first: Step | None = None

    def __len__(self) -> int:
        return len(self.deployments)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, index: int | slice) -> Step | tuple[Step, ...]:
        if index != 0 or not self.deployments:
            return super().__getitem__(index)
        if self._first is None:
            self._first = self._item(0)
        return self._first

    def _item(self, index: int) -> Step:
        cache = None if index else self.prompt_cache
        return Step(self.deployments[index], self.reasons[index], usd(self.costs[index]), prompt_cache=cache)


class Exclusions(_Column[Exclusion]):
    """Exclusions by their cause: (cause, ids of deployments) each."""

    __slots__ = ("_size", "groups")

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self._size = sum(len(deployments) for _, deployments in groups)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Exclusion]:
        return (Exclusion(deployment, cause) for cause, deployments in self.groups for deployment in deployments)

    def _item(self, index: int) -> Exclusion:
        return list(self)[index]


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


def usd(pico: int | None) -> Decimal | None:
    """US dollars of a number of 10^-12 USD."""
    if not pico:
        return None if pico is None else Decimal(0)
    return Decimal(pico).scaleb(-SCALE).normalize()


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
    described = (plan.strategy, _columns(plan.steps), excluded)
    try:
        content = orjson.dumps(described)
    except TypeError:  # a cost beyond 64 bits
        content = repr(described).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _columns(steps: Sequence[Step]) -> tuple[Any, ...]:
    if isinstance(steps, Steps):
        columns: tuple[Any, ...] = (steps.deployments, steps.reasons, steps.costs, {})
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
