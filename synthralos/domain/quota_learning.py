"""A limit that is learned from refusals alone, where neither headers nor the catalog say one.

Additive increase, multiplicative decrease, as TCP does it: from `FIRST_GUESS` on each call that is granted raises the
rate, so that it doubles every `DOUBLES_IN` seconds while it is used, up to a share of what was refused last, the
ceiling. There it stays for a while (`hold`), growing in small steps, and then it doubles again until the next refusal.
A ceiling that stood for its whole hold was near the truth: the next hold is twice as long. Where several in a row were
refused before that, nothing is the truth, and the holds become short again: a storm keeps no calls away for long. One
in a row is an overshoot: providers save up, so that the rate at a refusal may be above the limit.

Who may go elsewhere does so while the rate is low, and then no call raises it. So after a hold it also doubles by time,
up to `UNUSED_RATE`, at which calls come again.

A refusal of the first call after a closure tells of no rate: what was closed is closed still, and the ceiling stays.
"""

import math
from dataclasses import dataclass, replace

FIRST_GUESS, LEAST_GUESS = 60.0, 10.0
"""Requests a minute that are tried first after a refusal, and at least: below that it is for closures to be longer."""

DOUBLES_IN = 2.0
"""Seconds in which a rate that is used to the full doubles."""

UNUSED_RATE = 120.0
"""Requests a minute up to which the rate grows while nobody uses it."""

FIRST_HOLD, LONGEST_HOLD = 3.0, 60.0
"""Seconds for which the rate stays near its ceiling: first, and at most, when the ceiling stood again and again."""

FORGOTTEN_AFTER = 600.0
"""Seconds after the last closure."""

_KEPT, _BEYOND, _GROWS_BY, _GROWS_IN = 0.7, 1.1, 1.05, 10.0
_GAIN = 60.0 * math.log(2.0) / DOUBLES_IN
"""By how many requests a minute a call raises the rate."""

_AS_GOOD_AS_NONE = 1e5


@dataclass(frozen=True, slots=True)
class Learned:
    """What refusals taught. `rate` and `ceiling` in requests a minute, times in seconds since the epoch.

    `since`: the end of the last closure. `calls`: granted since then. `reached`: when the rate came to the ceiling, 0:
    it did not yet. `stood`: how often the ceiling stood for its whole hold, `fell`: how often in a row it did not.
    """

    since: float
    rate: float = FIRST_GUESS
    ceiling: float = math.inf
    reached: float = 0.0
    stood: int = 0
    fell: int = 0
    calls: float = 0.0

    @property
    def hold(self) -> float:
        """Seconds for which the rate stays near the ceiling."""
        return float(min(LONGEST_HOLD, FIRST_HOLD * 2.0 ** min(self.stood, 10)))


def rate_now(learned: Learned | None, now: float) -> float | None:
    """Requests a minute that are believed in; None: nothing is known of a limit, or it is as good as none."""
    if learned is None or now > learned.since + FORGOTTEN_AFTER or learned.rate >= _AS_GOOD_AS_NONE:
        return None
    return _believed(learned, now)


def after_calls(learned: Learned, calls: float, now: float) -> Learned:
    """After so many were granted; what is given back takes no rate back."""
    calls = max(0.0, calls)
    rate, reached = _believed(learned, now), learned.reached
    raised = rate + _GAIN * calls
    if not reached:
        reached = now if raised >= learned.ceiling else 0.0
        rate = min(raised, max(rate, learned.ceiling))
    elif now < reached + learned.hold:
        rate = max(rate, _held(learned, now))
    else:
        rate = raised
    return replace(learned, rate=rate, reached=reached, calls=learned.calls + calls)


def after_refusal(learned: Learned | None, now: float, until: float) -> Learned:
    """After a refusal that closed the quota until then."""
    rate = rate_now(learned, now)
    if learned is None or rate is None:
        return Learned(until)
    if learned.calls <= 1:
        return _beginning(learned, until)
    ceiling = max(LEAST_GUESS, _KEPT * rate)
    if learned.reached and now >= learned.reached + learned.hold:
        stood = _BEYOND * _held(learned, learned.reached + learned.hold)
        return _beginning(replace(learned, ceiling=min(ceiling, stood), stood=learned.stood + 1, fell=0), until)
    stood_before = learned.stood // 2 if learned.fell else learned.stood
    return _beginning(replace(learned, ceiling=ceiling, stood=stood_before, fell=learned.fell + 1), until)


def _beginning(learned: Learned, since: float) -> Learned:
    """A new beginning: faster where the ceiling is known to be near the truth."""
    rate = min(max(FIRST_GUESS, learned.ceiling / 2) if learned.stood else FIRST_GUESS, learned.ceiling)
    return replace(learned, since=since, rate=rate, reached=since if rate == learned.ceiling else 0.0, calls=0.0)


def _believed(learned: Learned, now: float) -> float:
    """The rate, or what it has grown to by time."""
    unused = min(10.0, (now - learned.since - learned.hold) / DOUBLES_IN)
    if unused <= 0:
        return learned.rate
    return float(max(learned.rate, min(UNUSED_RATE, min(FIRST_GUESS, learned.ceiling) * 2.0**unused)))


def _held(learned: Learned, now: float) -> float:
    """Requests a minute so long after the ceiling was reached, while it is held."""
    return float(learned.ceiling * _GROWS_BY ** (max(0.0, now - learned.reached) / _GROWS_IN))
