"""Steps and exclusions of plans as columns, of which single ones are made when they are asked for.

A catalog may have a thousand deployments, and most plans are never looked at beyond their first step.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Generic, NamedTuple, TypeVar, overload

from synthralos.domain.exclusions import Cause
from synthralos.domain.money import SCALE, ServiceTier
from synthralos.domain.prompt_caches import PromptCache


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


_Any = TypeVar("_Any")


class Picked(Sequence[_Any]):
    """The items of a sequence in another order, without a copy of them: many plans pick from the same one."""

    __slots__ = ("items", "order")

    def __init__(self, items: Sequence[_Any], order: Sequence[int]) -> None:
        self.items, self.order = items, order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[_Any]:
        return map(self.items.__getitem__, self.order)

    @overload
    def __getitem__(self, index: int) -> _Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Any]: ...
    def __getitem__(self, index: int | slice) -> _Any | list[_Any]:
        picked = self.order[index]
        return self.items[picked] if isinstance(picked, int) else [self.items[each] for each in picked]


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


def usd(pico: int | None) -> Decimal | None:
    """US dollars of a number of 10^-12 USD."""
    if not pico:
        return None if pico is None else Decimal(0)
    return Decimal(pico).scaleb(-SCALE).normalize()
