"""How often the rules of policies match: counted in memory by all threads that judge, and taken now and then."""

import threading
from collections import Counter
from collections.abc import Mapping

from synthralos.domain.policies import Ruling

RuleId = tuple[str, str]
"""(id of the policy set, id of the rule)."""


class RuleCounts:
    """Thread-safe. It holds a number for each rule that has matched since it was taken last."""

    def __init__(self) -> None:
        self._counts = Counter[RuleId]()
        self._turn = threading.Lock()

    def note(self, ruling: Ruling) -> None:
        """A job was judged; rules in shadow mode count, too."""
        reasons = [*ruling.reasons, *(reason for shadow in ruling.shadows for reason in shadow.reasons)]
        with self._turn:
            for reason in reasons:
                self._counts[reason.set_id, reason.rule] += 1

    def take(self) -> dict[RuleId, int]:
        """What was counted since the last time."""
        with self._turn:
            taken, self._counts = self._counts, Counter()
        return taken

    def give_back(self, taken: Mapping[RuleId, int]) -> None:
        """It could not be kept: the next one takes it, too."""
        with self._turn:
            self._counts.update(taken)
