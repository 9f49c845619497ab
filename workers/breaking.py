"""What this process found about breakers is written, and what all processes share is read: a thread beside the loop."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from pipelines.flow.breakers import Breakers, Report, Said, Shut
from pipelines.flow.key_choice import wanted_name
from synthralos.bus.protocol import Bus, Topic
from synthralos.config.credentials import CredentialsNow
from synthralos.domain.breakers import Breaker, BreakerState, credential_of, is_credential
from synthralos.domain.deployments import Catalog
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.families import CREDENTIAL_REFUSALS
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages
from workers.renewals import Renewals
from workers.turns import Turns

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks where nothing is heard, while a breaker shuts something off."""

CALM_EVERY = 5.0
"""The same while none does: a breaker that opens is heard of."""

_FIRST_LOOK = 5.0
"""Seconds that a worker which starts waits to know what is shut off; where the database stays away, it goes on."""


class BreakerWatch:
    """Takes the reports of this process's `breakers`, and tells them how all breakers stand."""

    def __init__(
        self,
        store: BreakerStore,
        bus: Bus,
        on_loop: Callable[..., None],
        identity: Callable[[], str],
        catalog: Callable[[], Catalog],
        call_timeout: float,
        outages: Outages | None = None,
        *,
        every: float = EVERY,
        calm_every: float = CALM_EVERY,
        clock: Callable[[], float] = time.monotonic,
        credentials: CredentialsNow | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """`on_loop` calls a function on the loop of the calls; `identity` is this process's id, which goes on record.

        `call_timeout` in seconds bounds every call. `credentials` have the keys that are told apart; without them,
        each credential that a deployment names is one key.
        """
        names = wanted_name if credentials is None else lambda each: credentials().names_for(each)
        self.breakers = Breakers(catalog, self.report, call_timeout, clock, names)
        self._renewals = Renewals(credentials)
        self._refusals = (metrics or Metrics()).counters(CREDENTIAL_REFUSALS)
        self._store, self._bus, self._on_loop, self._identity = store, bus, on_loop, identity
        self._every, self._calm_every, self._clock = every, calm_every, clock
        self._shut = False
        self._looked = threading.Event()
        self._turns: Turns[Report] = Turns("breakers", self._turn, outages, every)

    def start(self) -> None:
        """Begin to hear, and to look. Returns when the first look is done, so that no call is made before; or soon."""
        self._bus.subscribe(Topic.BREAKERS, lambda _: self._turns.wake())
        self._turns.start()
        self._looked.wait(_FIRST_LOOK)

    def report(self, report: Report) -> None:
        """Something was found here. Does not block."""
        self._turns.report(report)

    def stop(self) -> None:
        """Write what is still to be written, and look no more."""
        self._turns.stop()

    def _turn(self) -> float:
        """Write, and look; the seconds until the next look."""
        self._look(self._write())
        return self._every if self._shut else self._calm_every

    def _write(self) -> dict[str, int]:
        """Write what was reported; the probes that were handed out to this process.

        Where the database breaks off, what is not written yet is kept for the next time, and the probes are given back.
        """
        tokens: dict[str, int] = {}
        changed: list[str] = []
        left = deque(_distinct(self._turns.drained()))
        try:
            while left:
                report = left[0]
                if report.said is not Said.WANTED:
                    self._write_one(report)
                    changed.append(report.name)
                elif self._store.claim_probe(report.name, self._identity()):
                    tokens[report.name] = tokens.get(report.name, 0) + 1
                left.popleft()
        except StoreError:
            for report in (*left, *(Report(Said.UNUSED, name) for name, count in tokens.items() for _ in range(count))):
                self.report(report)
            raise
        if changed:
            self._bus.publish(Topic.BREAKERS, changed)
        return tokens

    def _write_one(self, report: Report) -> None:
        identity = self._identity()
        match report.said:
            case Said.BROKEN:
                self._store.broken(report.name, report.reason, identity)
                log.warning("%s gets no calls for now: %s", report.name, report.reason)
                if is_credential(report.name):
                    self._refusals[credential_of(report.name)[0],].inc()
            case Said.UNUSED:
                self._store.unused(report.name, identity)
            case Said.PASSED | Said.FAILED:
                failure = report.reason if report.said is Said.FAILED else None
                after = self._store.probed(report.name, failure, identity)
                if after.state is BreakerState.CLOSED:
                    log.warning("%s gets calls again: %s", report.name, after.reason)

    def _renewed(self, breaker: Breaker) -> bool:
        """Whether it stood for a key that was replaced since: then it is closed."""
        if not self._renewals.ends(breaker):
            return False
        self._store.renewed(breaker.name, self._identity())
        self._bus.publish(Topic.BREAKERS, [breaker.name])
        log.warning("%s gets calls again: the key was replaced", breaker.name)
        return True

    def _look(self, tokens: Mapping[str, int]) -> None:
        found, now = self._store.shut()
        self._shut = bool(found)
        self._renewals.look(now)
        found = [each for each in found if not self._renewed(each)]
        here = self._clock()
        shut = {each.name: _shut(each, here + _seconds(each, now), tokens.get(each.name, 0)) for each in found}
        self._on_loop(self.breakers.update, shut)
        self._looked.set()


def _seconds(breaker: Breaker, now: datetime) -> float:
    return 0.0 if breaker.until is None else (breaker.until - now).total_seconds()


def _shut(breaker: Breaker, until: float, tokens: int) -> Shut:
    return Shut(breaker.state, until, breaker.reason, tokens)


def _distinct(reports: Sequence[Report]) -> list[Report]:
    """Each wish and each finding once; of results of probes, all."""
    seen: set[tuple[Said, str]] = set()
    kept: list[Report] = []
    for report in reports:
        if report.said in (Said.WANTED, Said.BROKEN):
            if (report.said, report.name) in seen:
                continue
            seen.add((report.said, report.name))
        kept.append(report)
    return kept
