"""The circuit breakers as one worker process sees them: which steps of a plan may be called now, and what calls tell.

A deployment may be called while its own breaker and those of one of its keys let calls through: of several keys, one
that is refused is passed over. A plan is never made anew for a breaker: its cursor passes over the steps whose breaker
is open. What this process finds is in force here at once; a report goes to whoever keeps the state that all workers
share (`workers.breaking`), and what the others found comes back by `update`. While every breaker is closed, a job costs
one look at an empty table.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from pipelines.flow.key_choice import NamesNow, breakers_of, in_turn, wanted_name
from pipelines.flow.tally import Tally
from pipelines.flow.verdicts import Verdict, of_deployment, of_key
from synthralos.domain.attempts import Reply
from synthralos.domain.breakers import BreakerState, seconds_open
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.plans import RoutingPlan, Step
from synthralos.domain.repairs import STACKSTORM

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
        names: NamesNow = wanted_name,
    ) -> None:
        """`call_timeout` in seconds bounds every call, besides the deployment's own.

        `names` are those of the keys that a deployment may be called with now.
        """
        self._catalog = catalog
        self._call_timeout = call_timeout
        self._report = report
        self._clock = clock
        self._key_names = names
        self._tallies: dict[str, Tally] = {}
        self._shut: dict[str, Shut] = {}
        self.stackstorm_shut = False
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
            if (lets is None or lets(step)) and self._admits(job_id, self._catalog().get(step.deployment)):
                return cursor
        return None

    def key_names(self, deployment: Deployment) -> Sequence[str]:
        """The names of the keys that the deployment may be called with now."""
        return self._key_names(deployment)

    def key_for(
        self,
        job_id: str,
        attempt_no: int,
        deployment: Deployment,
        refused: Collection[str] = (),
        lets: Callable[[str], bool] | None = None,
    ) -> str | None:
        """The name of the key that a call is to be made with; None where it needs none, or there is none.

        Those that live share the calls; one of which the job is a probe comes first, what the job was `refused` last.
        Of those that live, one that `lets` lets through comes before others.
        """
        names = self._key_names(deployment)
        if len(names) < 2:
            return names[0] if names else None
        probed = self._probes.get(job_id, ())
        for name in names:
            if not breakers_of(name, deployment.id).isdisjoint(probed):
                return name
        ordered = in_turn(names, job_id, attempt_no)
        untried = [name for name in ordered if name not in refused]
        living = [name for name in untried if not self._is_shut(name, deployment)] or (untried or ordered)[:1]
        return living[0] if lets is None else next(filter(lets, living), living[0])

    def shuts_off(self, deployment: Deployment) -> bool:
        """Whether the deployment gets no ordinary calls now."""
        return bool(self._shut) and (deployment.id in self._shut or self._all_keys_shut(deployment))

    def shut_keys(self, deployment: Deployment) -> frozenset[str]:
        """The names of the keys with which the deployment gets no ordinary calls now."""
        return frozenset(name for name in self._key_names(deployment) if self._is_shut(name, deployment))

    def soonest(self, plan: RoutingPlan) -> tuple[float, str]:
        """Seconds until one of the plan's steps may be worth a look, and why none may be called."""
        waits: list[float] = []
        reasons: list[str] = []
        for step in plan.steps:
            deployment = self._catalog().get(step.deployment)
            if deployment is None:
                continue
            shut = [deployment.id] if deployment.id in self._shut else []
            keys = [self._shut_of(name, deployment) for name in self._key_names(deployment)]
            waits.append(max(self._wait(shut), min(map(self._wait, keys), default=0.0)))
            why = (*shut, *(each for key in keys if all(keys) for each in key))
            reasons += [f"{step.deployment}: {self._shut[name].reason}" for name in why]
        return max(_SOON, min(waits, default=0.0)), "; ".join(reasons)

    def answered(
        self,
        job_id: str,
        deployment: Deployment,
        answer: Reply | Failure,
        seconds: float,
        credential: str | None = None,
    ) -> None:
        """A call with that key has ended after so many seconds; None: with none, or with one that was renewed since."""
        probed = self._probes.pop(job_id, ()) if self._probes else ()
        self._count(deployment.id, of_deployment(deployment, answer, seconds, self._call_timeout), probed)
        counted = {deployment.id}
        if credential is not None:
            others = any(not self._is_shut(n, deployment) for n in self._key_names(deployment) if n != credential)
            for name, verdict in of_key(credential, deployment, answer, probed, others=others):
                self._count(name, verdict, probed)
                counted.add(name)
        for name in probed:
            if name not in counted:
                self._report(Report(Said.UNUSED, name))

    def unused(self, job_id: str) -> None:
        """A call that was admitted was not made, or was cut by us."""
        for name in self._probes.pop(job_id, ()):
            self._report(Report(Said.UNUSED, name))

    def update(self, shut: Mapping[str, Shut]) -> None:
        """What all workers share, as it is now. `tokens` are added to those that this process has.

        Those that no job wants are given back, so that another process may have them. StackStorm's breaker is apart: it
        keeps no job from being called.
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
        self._shut = {name: found for name, found in shut.items() if name != STACKSTORM}
        self.stackstorm_shut = STACKSTORM in shut

    def states(self) -> dict[tuple[str, ...], float]:
        """How many breakers are open and half open, as this process knows."""
        shut = list(self._shut.values())
        return {(str(state),): sum(s.state is state for s in shut) for state in BreakerState if state != "closed"}

    def _is_shut(self, credential: str, deployment: Deployment) -> bool:
        return bool(self._shut) and bool(self._shut_of(credential, deployment))

    def _shut_of(self, credential: str, deployment: Deployment) -> list[str]:
        """The breakers that keep the deployment from being called with that key."""
        return [name for name in sorted(breakers_of(credential, deployment.id)) if name in self._shut]

    def _all_keys_shut(self, deployment: Deployment) -> bool:
        names = self._key_names(deployment)
        return bool(names) and all(self._is_shut(name, deployment) for name in names)

    def _wait(self, names: Collection[str]) -> float:
        """Seconds until all of these may be probed."""
        shut, now = [self._shut[name] for name in names], self._clock()
        return max((each.until - now for each in shut if each.state is BreakerState.OPEN), default=0.0)

    def _admits(self, job_id: str, deployment: Deployment | None) -> bool:
        if deployment is None:
            return True
        own = [deployment.id] if deployment.id in self._shut else []
        keys = [self._shut_of(name, deployment) for name in self._key_names(deployment)]
        for name in (*own, *(each for key in keys for each in key)):
            self._want_probe(name)
        probe = next((key for key in keys if key and self._has_tokens(key)), None)
        if not self._has_tokens(own) or (probe is None and keys and all(keys)):
            return False
        names = [*own, *(probe or ())]
        for name in names:
            self._shut[name].tokens -= 1
        if names:
            self._probes[job_id] = names
        return True

    def _has_tokens(self, names: Collection[str]) -> bool:
        return all(self._shut[name].tokens for name in names)

    def _want_probe(self, name: str) -> None:
        found = self._shut[name]
        if not found.tokens and (found.state is BreakerState.HALF_OPEN or found.until <= self._clock()):
            self._report(Report(Said.WANTED, name))

    def _count(self, name: str, verdict: Verdict, probed: Collection[str]) -> None:
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
        if verdict.sure:
            reason: str | None = verdict.failure
        elif verdict.failure and not verdict.slow:
            reason = tally.bad(now, verdict.failure)
        else:
            reason = tally.good(now, slow=verdict.slow)
        if reason is not None:
            self._shut[name] = Shut(BreakerState.OPEN, now + seconds_open(name, 1), reason)
            self._report(Report(Said.BROKEN, name, reason))
