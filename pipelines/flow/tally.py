"""What a deployment, or a credential, has done of late in this process, and whether that is bad enough to stop calling.

Two signs are looked for. A run of failures that is implausible for what was seen before: after a hundred good calls
three in a row, after every fifth failed eight in a row. And a bad share: half of the calls failed, or most were slow.
"""

import math
from dataclasses import dataclass

HALF_LIFE = 30.0
"""Seconds after which a call counts half."""

_ODDS = 1e-6
"""A run of failures as improbable as this is no accident."""

_SHORTEST_RUN, _LONGEST_RUN = 3, 12
_PRIOR_FAILURES, _PRIOR_CALLS = 1.0, 20.0
"""What is thought to have been seen before anything was: one failure in twenty calls, so a first run takes five."""

_LEAST_CALLS = 20.0
_FAILED_SHARE, _SLOW_SHARE = 0.5, 0.8


@dataclass(slots=True)
class Tally:
    """Counts decay: a call of `HALF_LIFE` seconds ago is half a call. `run`: failures since the last that was none."""

    at: float
    calls: float = 0.0
    failures: float = 0.0
    slow: float = 0.0
    run: int = 0

    def good(self, now: float, *, slow: bool) -> str | None:
        """A call was answered, `slow` or not. Why to stop calling, if so."""
        self._decay(now)
        self.run = 0
        self.calls += 1
        self.slow += slow
        if slow and self.calls >= _LEAST_CALLS and self.slow >= _SLOW_SHARE * self.calls:
            return f"{round(100 * self.slow / self.calls)} % of the last calls were slow"
        return None

    def bad(self, now: float, failure: str) -> str | None:
        """A call failed by the provider's fault. Why to stop calling, if so."""
        self._decay(now)
        before = max(0.0, self.failures - self.run), max(0.0, self.calls - self.run)
        self.calls += 1
        self.failures += 1
        self.run += 1
        if self.run >= implausible_run(*before):
            return f"{self.run} calls in a row failed; the last: {failure}"
        if self.calls >= _LEAST_CALLS and self.failures >= _FAILED_SHARE * self.calls:
            return f"{round(100 * self.failures / self.calls)} % of the last calls failed; the last: {failure}"
        return None

    def _decay(self, now: float) -> None:
        kept = 0.5 ** ((now - self.at) / HALF_LIFE)
        self.at = now
        self.calls *= kept
        self.failures *= kept
        self.slow *= kept


def implausible_run(failures: float, calls: float) -> int:
    """The failures in a row that are no accident where so many of so many calls failed before."""
    share = min(0.99, (failures + _PRIOR_FAILURES) / (calls + _PRIOR_CALLS))
    return max(_SHORTEST_RUN, min(_LONGEST_RUN, math.ceil(math.log(_ODDS) / math.log(share))))
