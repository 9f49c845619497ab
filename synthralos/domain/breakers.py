"""Circuit breakers: whether a deployment, or a credential, gets calls now. One state for all workers, kept as a row.

A breaker opens when what it stands for fails by its own fault. For some seconds nothing is called; then a few probes
are, each of them an ordinary job's call: 1, then 2, then 4. When all of a step have passed, the next step follows, and
after the last the breaker closes. One that fails opens it again, for twice as long. So a breaker never closes by time
alone, and a provider that comes back is not met by everybody at once.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

PROBES = (1, 2, 4)
"""Calls that are let through at each step before the next."""

OPEN_SECONDS, LONGEST_SECONDS = 5.0, 300.0
"""How long a breaker stays open: the first time, and at most. Each further time in a row doubles the seconds."""

CREDENTIAL_SECONDS, LONGEST_CREDENTIAL_SECONDS = 60.0, 3600.0
"""The same for a credential: a key that is refused is rarely mended within seconds."""

FORGIVEN_AFTER = 600.0
"""Seconds that a breaker has to stay closed for its next opening to be the first again."""

PROBE_SECONDS = 180.0
"""After so many seconds a probe is taken for lost (its worker died), and another job may be one."""

_CREDENTIAL = "credential:"


class BreakerState(StrEnum):
    """`half_open`: probes are let through, and nothing else."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def credential_breaker(credential: str, deployment_id: str = "") -> str:
    """The name of the breaker of a credential; with a deployment, of the credential there: it may not call that one."""
    return f"{_CREDENTIAL}{credential}@{deployment_id}" if deployment_id else _CREDENTIAL + credential


def credential_of(name: str) -> tuple[str, str]:
    """The credential that a credential's breaker stands for, and the deployment where it does so alone, else ''."""
    credential, _, deployment_id = name.removeprefix(_CREDENTIAL).partition("@")
    return credential, deployment_id


def is_credential(name: str) -> bool:
    """Whether it is the breaker of a credential, and not of a deployment."""
    return name.startswith(_CREDENTIAL)


@dataclass(frozen=True, slots=True)
class Breaker:
    """One breaker. `name` is a deployment's id, or `credential:` and a credential's name; see `credential_breaker`.

    `since`: when it got this state. `until`: when the next probe may be made, or the last one is taken for lost.
    `opened`: openings in a row. Of the present step, `claimed` of `allowed` probes are under way or over, and `passed`
    of them passed.
    """

    name: str
    state: BreakerState
    since: datetime
    until: datetime | None = None
    opened: int = 0
    allowed: int = 0
    claimed: int = 0
    passed: int = 0
    reason: str = ""


def opened(breaker: Breaker, now: datetime, reason: str) -> Breaker:
    """The breaker after it was found that what it stands for does not work. One that is open stays as it is."""
    if breaker.state is BreakerState.OPEN:
        return breaker
    forgiven = breaker.state is BreakerState.CLOSED and (now - breaker.since).total_seconds() >= FORGIVEN_AFTER
    times = 1 if forgiven else breaker.opened + 1
    until = now + timedelta(seconds=seconds_open(breaker.name, times))
    return Breaker(breaker.name, BreakerState.OPEN, now, until, times, reason=reason)


def seconds_open(name: str, times: int) -> float:
    """For how long it stays open when it opens for the so-manyeth time in a row (from 1)."""
    first, longest = OPEN_SECONDS, LONGEST_SECONDS
    if is_credential(name):
        first, longest = CREDENTIAL_SECONDS, LONGEST_CREDENTIAL_SECONDS
    return min(first * 2.0 ** min(times - 1, 30), longest)


def probing(breaker: Breaker, now: datetime) -> Breaker | None:
    """The breaker after one more probe was handed out; None: there is none to be had now."""
    due = breaker.until is not None and breaker.until <= now
    lease = now + timedelta(seconds=PROBE_SECONDS)
    match breaker.state:
        case BreakerState.OPEN if due:
            state, allowed = BreakerState.HALF_OPEN, PROBES[0]
            return replace(breaker, state=state, since=now, until=lease, allowed=allowed, claimed=1, passed=0)
        case BreakerState.HALF_OPEN if breaker.claimed < breaker.allowed:
            return replace(breaker, until=lease, claimed=breaker.claimed + 1)
        case BreakerState.HALF_OPEN if due:
            return replace(breaker, until=lease, claimed=breaker.passed + 1)
    return None


def probed(breaker: Breaker, now: datetime, failure: str | None) -> Breaker:
    """The breaker after a probe passed, or failed with `failure`. A probe of an earlier state changes nothing."""
    if breaker.state is not BreakerState.HALF_OPEN:
        return breaker
    if failure is not None:
        return opened(breaker, now, failure)
    passed = breaker.passed + 1
    if passed < breaker.allowed:
        return replace(breaker, passed=passed)
    larger = [step for step in PROBES if step > breaker.allowed]
    if larger:
        return replace(breaker, allowed=larger[0], claimed=0, passed=0)
    return closed(breaker, now, "all probes passed")


def unused(breaker: Breaker) -> Breaker:
    """The breaker after a probe that was handed out is not made."""
    if breaker.state is not BreakerState.HALF_OPEN or breaker.claimed <= breaker.passed:
        return breaker
    return replace(breaker, claimed=breaker.claimed - 1)


def closed(breaker: Breaker, now: datetime, reason: str, *, forgiven: bool = False) -> Breaker:
    """The breaker as it lets everything through. `forgiven`: its next opening is the first again."""
    if breaker.state is BreakerState.CLOSED:
        return breaker
    times = 0 if forgiven else breaker.opened
    return Breaker(breaker.name, BreakerState.CLOSED, now, opened=times, reason=reason)
