"""The strategy `fastest`: what answered soonest, by the median of the last calls.

Medians are known to two digits: among those that are equally fast the cost decides, and with it the prompt cache.
"""

from collections.abc import Callable, Sequence

from pipelines.route.observed import NOTHING, Observed
from pipelines.route.protocol import CacheUse, Candidate
from synthralos.domain.jobs import Job
from synthralos.domain.plans import Step


class Fastest:
    """By the median of the observed latencies, then by cost, then by id.

    A deployment that nothing is known of is taken to need as long as the others do in the middle: so it is tried before
    those that are slow, and after those that are fast.
    """

    name = "fastest"
    repeatable = False
    cache_use = CacheUse.PRICES_AND_RANKS

    def __init__(self, observed: Callable[[], Observed] = lambda: NOTHING) -> None:
        self._observed = observed

    def rank(self, job: Job, candidates: Sequence[Candidate]) -> list[Step]:
        """See `Strategy.rank`."""
        observed = self._observed()

        def place(candidate: Candidate) -> tuple[float, bool, float, int, str]:
            seconds, cost = observed.seconds.get(candidate.deployment.id), candidate.estimated_cost
            expected = observed.usual if seconds is None else seconds.median
            return expected, cost is None, float(cost or 0), candidate.rank, candidate.deployment.id

        ordered = sorted(candidates, key=place)
        return [Step(c.deployment.id, _reason(n, c, observed), c.estimated_cost) for n, c in enumerate(ordered, 1)]


def _reason(number: int, candidate: Candidate, observed: Observed) -> str:
    seconds = observed.seconds.get(candidate.deployment.id)
    place = "the fastest" if number == 1 else f"number {number} by latency"
    if seconds is None:
        return f"{place}: too few calls are known; then by cost"
    return f"{place}: half of its last answers came within {seconds.median:g} s, 95 % within {seconds.high:g} s"
