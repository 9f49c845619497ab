"""What this process wants of providers' quotas is taken from the rows that all share: a thread beside the loop."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipelines.flow.quota_reports import Refusal, Told, Wanted
from pipelines.flow.quotas import Quotas
from synthralos.bus.protocol import Bus, Topic
from synthralos.config.credentials import Credentials, CredentialsNow
from synthralos.domain.deployments import Catalog
from synthralos.domain.quota_units import Unit
from synthralos.domain.quotas import Ask, Declared, Quota, declared_by, standing
from synthralos.store.admin.quotas import QuotaStore
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.families import QUOTA_CLOSED, QUOTA_CLOSURES, QUOTA_WAITING
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages
from workers.turns import Turns

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at what others found where nothing is heard, while any quota is known."""

CALM_EVERY = 5.0
"""The same while none is: a refusal is heard of, and what an answer tells comes back with what is asked for."""

_LOOKED_BACK = 15.0
"""Seconds of changes that a look reads: more than lie between two looks, so that none is missed."""


@dataclass(slots=True)
class _Of:
    """What was reported of one quota."""

    asks: dict[Unit, Ask] = field(default_factory=dict)
    told: Told = field(default_factory=Told)
    wanted: bool = False
    refusal: Refusal | None = None

    def add(self, report: Wanted | Refusal) -> None:
        self.told.hear(report.lefts)
        if isinstance(report, Refusal):
            self.refusal = report if self.refusal is None else max(self.refusal, report, key=_seconds)
            return
        self.wanted = True
        for unit, ask in report.asks.items():
            before = self.asks.get(unit, Ask(0.0))
            self.asks[unit] = Ask(before.want + ask.want, max(before.least, ask.least))


class QuotaKeeper:
    """Takes what this process's `quotas` ask for, and tells them how all quotas stand."""

    def __init__(
        self,
        store: QuotaStore,
        bus: Bus,
        on_loop: Callable[..., None],
        identity: Callable[[], str],
        catalog: Callable[[], Catalog],
        metrics: Metrics,
        outages: Outages | None = None,
        credentials: CredentialsNow | None = None,
        *,
        every: float = EVERY,
        calm_every: float = CALM_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_loop` calls a function on the loop of the calls; `identity` is this process's id.

        `credentials` have the keys that are told apart; without them, each credential that is wanted is one key.
        """
        self.quotas = Quotas(self.report, clock)
        self._store, self._bus, self._on_loop, self._identity = store, bus, on_loop, identity
        self._catalog, self._every, self._calm_every = catalog, every, calm_every
        self._credentials = credentials
        self._of: tuple[Catalog | None, Credentials | None] = (None, None)
        self._declared: Mapping[str, Declared] = {}
        self._clock, self._look_at, self._all = clock, 0.0, True
        self._closures = metrics.counter(QUOTA_CLOSURES)
        metrics.reads(QUOTA_WAITING, self.quotas.waiting)
        metrics.reads(QUOTA_CLOSED, self.quotas.closed)
        self._turns: Turns[Wanted | Refusal] = Turns("quotas", self._turn, outages, every)

    def start(self) -> None:
        """Begin to hear, and to look."""
        self._bus.subscribe(Topic.QUOTAS, self._hear)
        self._turns.start()

    def report(self, report: Wanted | Refusal) -> None:
        """Something is wanted or was found here. Does not block."""
        self._turns.report(report)

    def stop(self) -> None:
        """Write what is still to be written, and look no more."""
        self._turns.stop()

    def _hear(self, _: object) -> None:
        self._all = True
        self._turns.wake()

    def _turn(self) -> float:
        """Write, and look; the seconds until the next look."""
        self._write()
        self._look()
        return self._every if self.quotas.pacers else self._calm_every

    def _write(self) -> None:
        """Write what was reported, and pass on what was granted. What cannot be written now is asked for again."""
        reports = self._drained()
        try:
            while reports:
                name, of = next(iter(reports.items()))
                self._write_one(name, of)
                del reports[name]
        except StoreError:
            for name, of in reports.items():
                self._on_loop(self.quotas.granted, name, None)
                if of.refusal is not None:
                    self.report(of.refusal)
            raise

    def _write_one(self, name: str, of: _Of) -> None:
        lefts, declared = tuple(of.told.lefts.values()), self._declared_now().get(name, {})
        if of.refusal is not None:
            after, now = self._store.refuse(name, of.refusal.seconds, of.refusal.reason, lefts)
            log.warning("%s gets no calls for %.1f s: %s", name, after.closed_until - now, after.reason)
            self._closures.inc()
            self._on_loop(self.quotas.update, {name: standing(after, declared, now)})
            self._bus.publish(Topic.QUOTAS, [name])
        if of.wanted:
            grant = self._store.take(name, of.asks, lefts, declared, self._identity())
            self._on_loop(self.quotas.granted, name, grant)

    def _drained(self) -> dict[str, _Of]:
        reports: dict[str, _Of] = {}
        for report in self._turns.drained():
            reports.setdefault(report.name, _Of()).add(report)
        return reports

    def _look(self) -> None:
        """Tell the loop how quotas stand that have changed; all of them where the catalog has."""
        now = self._clock()
        before = self._declared
        declared = self._declared_now()
        whole = self._all or declared is not before
        if not whole and now < self._look_at:
            return
        self._all, self._look_at = False, now + self._every
        found, at = self._store.all() if whole else self._store.changed(_LOOKED_BACK)
        standings = {each.name: standing(each, declared.get(each.name, {}), at) for each in found}
        if whole:
            standings |= {
                name: standing(Quota(name), own, at) for name, own in declared.items() if name not in standings
            }
        opened = [each.name for each in found if not each.closed_until]
        self._on_loop(self.quotas.update, standings, opened)

    def _declared_now(self) -> Mapping[str, Declared]:
        """What the catalog declares, reckoned anew when it, or the keys, are others."""
        catalog, credentials = self._catalog(), self._credentials and self._credentials()
        if self._of[0] is not catalog or self._of[1] is not credentials:
            self._of = catalog, credentials
            self._declared = declared_by(catalog, None if credentials is None else credentials.names_for)
        return self._declared


def _seconds(refusal: Refusal) -> float:
    return -1.0 if refusal.seconds is None else refusal.seconds
