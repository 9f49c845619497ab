"""What this process wants of providers' quotas is taken from the rows that all share: a thread beside the loop."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from pipelines.flow.quota_reports import Refusal, Told, Wanted
from pipelines.flow.quotas import Quotas
from synthralos.bus.protocol import Bus, Topic
from synthralos.config.credentials import Credentials, CredentialsNow
from synthralos.domain.deployments import Catalog
from synthralos.domain.quota_units import Unit
from synthralos.domain.quotas import Ask, Declared, Quota, declared_by, standing
from synthralos.store.admin.quotas import QuotaStore
from synthralos.store.sql import outage
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.families import QUOTA_CLOSED, QUOTA_CLOSURES, QUOTA_WAITING
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import DATABASE, Outages

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at what others found, where nothing is heard."""

_LOOKED_BACK = 5.0
"""Seconds of changes that a look reads: more than lie between two looks, so that none is missed."""

_MOST_WAITING = 10_000
"""Reports that may wait while the database is away; an ask that is lost is made again."""


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_loop` calls a function on the loop of the calls; `identity` is this process's id.

        `credentials` have the keys that are told apart; without them, each credential that is wanted is one key.
        """
        self.quotas = Quotas(self.report, clock)
        self._store, self._bus, self._on_loop, self._identity = store, bus, on_loop, identity
        self._catalog, self._outages, self._every = catalog, outages or Outages(), every
        self._credentials = credentials
        self._of: tuple[Catalog | None, Credentials | None] = (None, None)
        self._declared: Mapping[str, Declared] = {}
        self._reports: queue.Queue[Wanted | Refusal] = queue.Queue(_MOST_WAITING)
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._clock, self._look_at, self._all = clock, 0.0, True
        self._closures = metrics.counter(QUOTA_CLOSURES)
        metrics.reads(QUOTA_WAITING, self.quotas.waiting)
        metrics.reads(QUOTA_CLOSED, self.quotas.closed)
        self._thread = threading.Thread(target=self._run, name="quotas", daemon=True)

    def start(self) -> None:
        """Begin to hear, and to look."""
        self._bus.subscribe(Topic.QUOTAS, self._hear)
        self._thread.start()

    def report(self, report: Wanted | Refusal) -> None:
        """Something is wanted or was found here. Does not block."""
        with suppress(queue.Full):
            self._reports.put_nowait(report)
        self._wake.set()

    def stop(self) -> None:
        """Write what is still to be written, and look no more."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(5)

    def _hear(self, _: object) -> None:
        self._all = True
        self._wake.set()

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            try:
                self._write()
                self._look()
            except StoreError as error:
                self._outages.failed(DATABASE, *outage.DIAGNOSES.of(error))
                self._stopping.wait(self._every)
            except Exception:  # the edge of a thread without which no quota is shared
                log.exception("the quotas of providers could not be looked after")
                self._stopping.wait(self._every)
            if stopping:
                return
            self._wake.wait(self._every)
            self._wake.clear()

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
        with suppress(queue.Empty):
            while True:
                report = self._reports.get_nowait()
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
