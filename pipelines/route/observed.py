"""How long deployments took to answer, and how long answers were: data for routing, which itself looks at no clock.

A process goes by what it saw itself; of a deployment that it has not asked often enough, by what the others saw.

What is observed is handed over as an immutable `Observed`, and a new one only when there is something to tell: plans
that were made of one hold until the next.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

KEPT = 200
"""Answers of a deployment that are looked back on."""

FEWEST = 5
"""Answers before anything is said of a deployment."""

_EVERY = 20

ExpectedOutput = Callable[[str, str], int | None]
"""Tokens of answer that jobs of an organization for a model had at most in 95 of 100 cases; None: unknown."""


class Seconds(NamedTuple):
    """Seconds to the whole answer: in half of the calls at most, and in 95 of 100."""

    median: float
    high: float


class Observed:
    """What was observed up to a moment. Compared by identity."""

    def __init__(self, seconds: Mapping[str, Seconds]) -> None:
        self.seconds = seconds
        ordered = sorted(each.median for each in seconds.values())
        self.usual = ordered[len(ordered) // 2] if ordered else 0.0
        """The median of the medians: what a deployment is taken to need that nothing is known of."""


NOTHING = Observed({})


class Latencies:
    """The last answers of each deployment, or the first words of streamed ones. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._own: dict[str, Seconds] = {}
        self._others: Mapping[str, Seconds] = {}
        self._answers: dict[str, deque[float]] = {}
        self._new: dict[str, int] = {}
        self._observed = NOTHING

    def learn(self, deployment: str, seconds: float) -> None:
        """The deployment answered after so many seconds."""
        answers = self._answers.get(deployment)
        if answers is None:
            answers = self._answers[deployment] = deque(maxlen=KEPT)
        answers.append(seconds)
        new = self._new[deployment] = self._new.get(deployment, 0) + 1
        if len(answers) == FEWEST or new >= _EVERY:
            self._new[deployment] = 0
            self._own[deployment] = _seconds(answers)
            self._tell()

    def hear(self, others: Mapping[str, Sequence[float]]) -> None:
        """Other processes had these answers after so many seconds, by deployment, the newest first."""
        self._others = {
            deployment: _seconds(answers[:KEPT]) for deployment, answers in others.items() if len(answers) >= FEWEST
        }
        self._tell()

    def now(self) -> Observed:
        """What is known now."""
        return self._observed

    def _tell(self) -> None:
        found = {**self._others, **self._own}
        if self._observed.seconds != found:
            self._observed = Observed(found)


def _seconds(answers: Collection[float]) -> Seconds:
    ordered = sorted(answers)
    return Seconds(_rounded(ordered[len(ordered) // 2]), _rounded(ordered[len(ordered) * 95 // 100]))


def _rounded(seconds: float) -> float:
    """To two digits: what differs by less makes no other plan."""
    return float(f"{seconds:.2g}")
