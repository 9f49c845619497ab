"""What a worker process says of quotas to whoever keeps what all workers share of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from synthralos.domain.quota_units import Left, Unit
from synthralos.domain.quotas import Ask


class Wanted(NamedTuple):
    """A worker asks for more, or gives back; `lefts` are what answers said is left since it asked last."""

    name: str
    asks: Mapping[Unit, Ask]
    lefts: Sequence[Left] = ()


class Refusal(NamedTuple):
    """A call was refused for a quota; `seconds` to wait as the provider asked, None: it did not."""

    name: str
    seconds: float | None
    reason: str
    lefts: Sequence[Left] = ()


@dataclass(slots=True)
class Told:
    """What answers said since it was passed on, the least of each unit; `at` is when that was."""

    at: float = -math.inf
    lefts: dict[Unit, Left] = field(default_factory=dict)

    def hear(self, lefts: Sequence[Left]) -> None:
        """An answer said so."""
        for left in lefts:
            before = self.lefts.get(left.unit)
            if before is None or before.limit != left.limit or left.left < before.left:
                self.lefts[left.unit] = left
