"""The circuit breakers as one worker process sees them: which steps of a plan may be called now, and what calls tell.

A plan is never made anew for a breaker: its cursor passes over the steps whose breaker is open. What this process finds
is in force here at once; a report goes to whoever keeps the state that all workers share (`workers.breaking`), and what
the others found comes back by `update`. While every breaker is closed, a job costs one look at an empty table.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from pipelines.flow.tally import Tally
from synthralos.domain.attempts import Reply
from synthralos.domain.breakers import BreakerState, credential_breaker, seconds_open
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.plans import RoutingPlan, Step

UPSTREAM = frozenset(
    {
        FailureClass.OVERLOADED,
        FailureClass.SERVER_ERROR,
        FailureClass.CONNECTION,
        FailureClass.TIMEOUT,
        FailureClass.AMBIGUOUS,
    }
)
"""What is held against a deployment. Not limits, keys, wrong requests or filtered content: those it has answered."""

_UNAUTHORIZED = 401
_WHOLE_WAIT = 0.9
"""A call that was cut sooner than this share of its deployment's time-out was cut by its job's own deadline."""

SLOW_SHARE = 0.5
"""A call that takes more than this share of its deployment's time-out is slow."""

_SOON = 0.5
"""Seconds after which a job looks again whether a probe is to be had."""


_KEPT = 3.0
"""Seconds that this process keeps a probe which no job wants."""


class Said(Enum):
    """What is reported of a breaker."""

    BROKEN = auto()
    WANTED = auto()
    PASSED = auto()
    FAILED = auto()
    UNUSED = auto()


class Report(NamedTuple):
    """`WANTED`: a job would be a probe, and none was handed out to this process."""

    said: Said
    name: str
    reason: str = ""


@dataclass(slots=True)
class Shut:
    """A breaker that is not closed. `until` and `granted` by the monotonic clock.

    `tokens`: probes that this process may make, `granted` to it last then.
    """

    state: BreakerState
    until: float
    reason: str
    tokens: int = 0
    granted: float = 0.0


class Breakers:
    """Lives on the event loop; `report` must not block."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        report: Callable[[Report], None],
        call_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`call_timeout` in seconds bounds every call, besides the deployment's own."""
        self._catalog = catalog
        self._call_timeout = call_timeout
        self._report = report
        self._clock = clock
        self._tallies: dict[str, Tally] = {}
        self._shut: dict[str, Shut] = {}
        self._probes: dict[str, list[str]] = {}

    def admit(self, job_id: str, plan: RoutingPlan, lets: Callable[[Step], bool] | None = None) -> int | None:
        """The first step that may be called now, from the cursor on and then those before it; None: all are shut off.

        Only steps that `lets` lets through. A step whose breaker lets probes through makes the job one: say what became
        of it (`answered`, `unused`).
        """
        if not self._shut or job_id in self._probes:
            if lets is None or plan.current is None or lets(plan.current):
                return plan.cursor
            self.unused(job_id)
        steps = [*enumerate(plan.steps)]
        for cursor, step in steps[plan.cursor :] + steps[: plan.cursor]:
            if (lets is None or lets(step)) and self._admits(job_id, self._names(step.deployment)):
                return cursor
        return None

    def shuts_off(self, deployment: Deployment) -> bool:
        """Whether the deployment gets no ordinary calls now."""
        return bool(self._shut) and any(name in self._shut for name in names_of(deployment))

    def soonest(self, plan: RoutingPlan) -> tuple[float, str]:
        """Seconds until one of the plan's steps may be worth a look, and why none may be called."""
        now = self._clock()
        waits: list[float] = []
        reasons: list[str] = []
        for step in plan.steps:
            shut = [found for name in self._names(step.deployment) if (found := self._shut.get(name)) is not None]
            waits.append(max((found.until - now for found in shut if found.state is BreakerState.OPEN), default=0.0))
            reasons += [f"{step.deployment}: {found.reason}" for found in shut]
        return max(_SOON, min(waits, default=0.0)), "; ".join(reasons)

    def answered(self, job_id: str, deployment: Deployment, answer: Reply | Failure, seconds: float) -> None:
        """A call has ended after so many seconds."""
        probed = self._probes.pop(job_id, ()) if self._probes else ()
        self._count(deployment.id, self._upstream(deployment, answer, seconds), probed)
        if deployment.api_key_env is not None:
            self._count(credential_breaker(deployment.api_key_env), _of_credential(answer), probed)

    def unused(self, job_id: str) -> None:
        """A call that was admitted was not made, or was cut by us."""
        for name in self._probes.pop(job_id, ()):
            self._report(Report(Said.UNUSED, name))

    def update(self, shut: Mapping[str, Shut]) -> None:
        """What all workers share, as it is now. `tokens` are added to those that this process has.

        Those that no job wants are given back, so that another process may have them.
        """
        now = self._clock()
        for name, found in shut.items():
            known = self._shut.get(name)
            if found.tokens:
                found.granted = now
            if known is None or not known.tokens or found.state is not BreakerState.HALF_OPEN:
                continue
            if found.tokens or now - known.granted <= _KEPT:
                found.tokens, found.granted = found.tokens + known.tokens, max(found.granted, known.granted)
            else:
                for _ in range(known.tokens):
                    self._report(Report(Said.UNUSED, name))
        for name in self._shut.keys() - shut.keys():
            self._tallies.pop(name, None)  # a new beginning
        self._shut = dict(shut)

    def states(self) -> dict[tuple[str, ...], float]:
        """How many breakers are open and half open, as this process knows."""
        shut = list(self._shut.values())
        return {(str(state),): sum(s.state is state for s in shut) for state in BreakerState if state != "closed"}

    def _names(self, deployment_id: str) -> tuple[str, ...]:
        deployment = self._catalog().get(deployment_id)
        return () if deployment is None else names_of(deployment)

    def _admits(self, job_id: str, names: tuple[str, ...]) -> bool:
        shut = [(name, found) for name in names if (found := self._shut.get(name)) is not None]
        if not shut:
            return True
        now = self._clock()
        for name, found in shut:
            if not found.tokens and (found.state is BreakerState.HALF_OPEN or found.until <= now):
                self._report(Report(Said.WANTED, name))
        if not all(found.tokens for _, found in shut):
            return False
        for _, found in shut:
            found.tokens -= 1
        self._probes[job_id] = [name for name, _ in shut]
        return True

    def _count(self, name: str, verdict: "_Verdict", probed: "list[str] | tuple[()]") -> None:
        if name in probed:
            said = Said.UNUSED if verdict.neutral else Said.FAILED if verdict.failure else Said.PASSED
            self._report(Report(said, name, verdict.failure))
            return
        if verdict.neutral or name in self._shut:
            return
        now = self._clock()
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = Tally(now)
        if verdict.failure and not verdict.slow:
            reason = tally.bad(now, verdict.failure)
        else:
            reason = tally.good(now, slow=verdict.slow)
        if reason is not None:
            self._shut[name] = Shut(BreakerState.OPEN, now + seconds_open(name, 1), reason)
            self._report(Report(Said.BROKEN, name, reason))

    def _upstream(self, deployment: Deployment, answer: Reply | Failure, seconds: float) -> "_Verdict":
        longest = min(deployment.timeout, self._call_timeout)
        if isinstance(answer, Reply):
            if seconds > SLOW_SHARE * longest:
                return _Verdict(f"answered after {seconds:.1f} s", slow=True)
            return _GOOD
        if answer.failure_class not in UPSTREAM:
            return _NEUTRAL if answer.http_status is None else _GOOD
        if answer.failure_class is FailureClass.TIMEOUT and seconds < _WHOLE_WAIT * longest:
            return _NEUTRAL
        return _Verdict(f"{answer.failure_class}: {answer.message}"[:300])


class _Verdict(NamedTuple):
    """What a call says of a breaker: nothing (`neutral`), its fault (`failure`), and whether that is slowness alone."""

    failure: str = ""
    neutral: bool = False
    slow: bool = False


_GOOD, _NEUTRAL = _Verdict(), _Verdict(neutral=True)


def names_of(deployment: Deployment) -> tuple[str, ...]:
    """The breakers that stand before a deployment."""
    variable = deployment.api_key_env
    return (deployment.id,) if variable is None else (deployment.id, credential_breaker(variable))


def _of_credential(answer: Reply | Failure) -> _Verdict:
    if isinstance(answer, Reply):
        return _GOOD
    refused = answer.failure_class is FailureClass.CREDENTIAL and answer.http_status == _UNAUTHORIZED
    if refused or answer.failure_class is FailureClass.QUOTA_EXHAUSTED:
        return _Verdict(f"{answer.failure_class}: {answer.message}"[:300])
    return _NEUTRAL
