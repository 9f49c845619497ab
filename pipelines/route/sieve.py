"""Which deployments a job's demand leaves, and why not the others: each rule is asked once for all that look alike.

A catalog's deployments are numbered; a set of them is the bits of one integer. A rule looks at a part of a deployment
alone (its region, its window …), so all that are the same in that part are kept or lost together. Nothing here hangs on
a demand: what is made of a catalog holds for every job.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from pipelines.route.filters import Demand, Rule
from synthralos.domain.deployments import Deployment
from synthralos.domain.exclusions import Cause
from synthralos.domain.failures import FailureClass

_Value = TypeVar("_Value")
_Group = tuple[Deployment, int]


class Loss(NamedTuple):
    """The deployments that one cause kept away. `unrelated`: they are not what was asked for at all."""

    cause: Cause
    which: int
    failure_class: FailureClass
    unrelated: bool = False


class Sieve:
    """Rules, prepared for the deployments of a catalog."""

    def __init__(self, deployments: Sequence[Deployment], rules: Iterable[Rule]) -> None:
        self._deployments = deployments
        self._numbers = {deployment.id: number for number, deployment in enumerate(deployments)}
        self._rules = [(rule, _alike(rule, deployments)) for rule in rules]

    def sift(self, demand: Demand, alive: int) -> tuple[int, list[Loss]]:
        """What is left of the deployments `alive`, and what was lost; the first rule that refuses one counts."""
        losses: list[Loss] = []
        for rule, groups in self._rules:
            if rule.idle is not None and rule.idle(demand):
                continue
            before = alive, len(losses)
            asked = groups if rule.names is None else self._named(rule.names(demand), alive)
            for deployment, alike in asked:
                hit = alive & alike
                if hit and (cause := rule.check(demand, deployment)) is not None:
                    alive ^= hit
                    losses.append(Loss(cause, hit, rule.failure_class))
            if rule.soft and not alive:
                alive = before[0]
                del losses[before[1] :]
        return alive, losses

    def _named(self, names: Iterable[str], alive: int) -> list[_Group]:
        """Those named, one by one, and all others at once."""
        named = [number for name in names if (number := self._numbers.get(name)) is not None]
        groups = [(self._deployments[number], 1 << number) for number in named]
        others = alive & ~sum(alike for _, alike in groups)
        return [*groups, (self._deployments[others.bit_length() - 1], others)] if others else groups


def _alike(rule: Rule, deployments: Sequence[Deployment]) -> list[_Group]:
    if rule.names is not None:
        return []
    alike = grouped(map(rule.view, deployments)).values()
    return [(deployments[which.bit_length() - 1], which) for which in alike]


def grouped(values: Iterable[_Value]) -> dict[_Value, int]:
    """The numbers that have each value, as sets."""
    groups: dict[_Value, list[int]] = {}
    for number, value in enumerate(values):
        groups.setdefault(value, []).append(number)
    return {value: bits(numbers) for value, numbers in groups.items()}


def bits(numbers: Iterable[int]) -> int:
    """The set of these numbers."""
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


def numbers_in(which: int) -> list[int]:
    """The numbers of a set, smallest first."""
    return [number for number, bit in enumerate(f"{which:b}"[::-1]) if bit == "1"]
