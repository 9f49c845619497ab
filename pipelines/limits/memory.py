"""The meter of one process: what it counts, no other process knows of."""

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipelines.limits.protocol import (
    LEASE_SECONDS,
    PLACE_SECONDS,
    SETTLED_SECONDS,
    Answer,
    Ask,
    Charge,
    Settled,
    Status,
)

_NOTHING = 1e-6
"""Seconds: what rounding leaves of no wait at all."""

_MANY = 1_000
"""From so many buckets on, those that are full again are forgotten."""


@dataclass(slots=True)
class _Bucket:
    """See `pipelines.limits.protocol`. Times are seconds of the clock."""

    limit: int
    window: float
    full_at: float = 0.0
    back: float = 0.0
    line: float = 0.0

    @property
    def step(self) -> float:
        """Seconds in which one unit comes back."""
        return self.window / self.limit

    def limited(self, limit: int, window: float, now: float) -> "_Bucket":
        """The bucket under a limit that may have changed: what was used stays used."""
        if (limit, window) != (self.limit, self.window):
            scale = self.limit * window / (limit * self.window)
            self.full_at, self.back, self.line = (
                now + max(0.0, each - now) * scale for each in (self.full_at, self.back, self.line)
            )
            self.limit, self.window = limit, window
        return self

    def wait(self, charge: Charge, now: float, *, placed: bool) -> float:
        """Seconds until there is room; 0 or less: there is."""
        begin = max(self.full_at, now)
        room = begin + min(charge.weight, self.limit) * self.step - self.window - now
        if placed and room <= 0:
            return room
        behind = max(begin, self.back if placed else max(self.back, self.line))
        return max(room, behind + min(charge.expected, self.limit) * self.step - self.window - now)

    def take(self, charge: Charge, now: float) -> None:
        """Take the weight."""
        self.full_at = max(self.full_at, now) + min(charge.weight, self.limit) * self.step

    def queue(self, charge: Charge, now: float, *, placed: bool) -> None:
        """Stand in line with what is expected."""
        begin, more = max(self.full_at, now, self.back), min(charge.expected, self.limit) * self.step
        if placed:
            self.back = begin + more
        else:
            self.line = max(begin, self.line) + more

    def correct(self, charge: Charge, used: float, now: float) -> None:
        """So much was used in place of what was reserved and expected."""
        more = (used - min(charge.weight, self.limit)) * self.step
        self.full_at = (max(self.full_at, now) if more > 0 else self.full_at) + more
        ahead = (used - min(charge.expected, self.limit)) * self.step
        self.back = self.back + ahead if self.back > now else self.back
        self.line = self.line + ahead if self.line > now else self.line


@dataclass(slots=True)
class _Record:
    """What is known of a job: since when it waits, or what is reserved for it."""

    expires: float
    since: float | None = None
    charges: tuple[Charge, ...] = ()
    lease: bool = False


class MemoryMeter:
    """See `Meter`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}
        self._records: dict[str, _Record] = {}
        self._due: list[tuple[float, str]] = []
        self._many = _MANY

    def admit(self, asks: Sequence[Ask]) -> list[Answer]:
        """See `Meter.admit`."""
        with self._lock:
            now = self._clock()
            self._expire(now)
            return [self._admit(ask, now) for ask in asks]

    def settle(self, settled: Sequence[Settled]) -> None:
        """See `Meter.settle`."""
        with self._lock:
            now = self._clock()
            for job_id, tokens in settled:
                self._settle(job_id, tokens, now)

    def close(self) -> None:
        """See `Meter.close`."""

    def _admit(self, ask: Ask, now: float) -> Answer:
        known = self._records.get(ask.job_id)
        if known is not None and known.since is None:
            return Answer(Status.ADMITTED, 0.0, 0)
        placed = known is not None
        buckets = [self._bucket(charge, now) for charge in ask.charges]
        waits = [b.wait(charge, now, placed=placed) for b, charge in zip(buckets, ask.charges, strict=True)]
        wait = max(waits, default=0.0)
        which = waits.index(wait) if waits else 0
        if wait <= _NOTHING:
            for bucket, charge in zip(buckets, ask.charges, strict=True):
                bucket.take(charge, now)
            reserved = tuple(charge for charge in ask.charges if charge.settled)
            self._keep(ask.job_id, _Record(now + LEASE_SECONDS, charges=reserved, lease=True))
            return Answer(Status.ADMITTED, 0.0, which)
        since = now if known is None or known.since is None else known.since
        if now - since + wait > ask.patience:
            self._records.pop(ask.job_id, None)
            return Answer(Status.REFUSED, wait, which)
        for bucket, charge in zip(buckets, ask.charges, strict=True):
            bucket.queue(charge, now, placed=placed)
        self._keep(ask.job_id, _Record(now + wait + PLACE_SECONDS, since=since))
        return Answer(Status.WAITS, wait, which)

    def _settle(self, job_id: str, tokens: int | None, now: float) -> None:
        known = self._records.get(job_id)
        if known is None or known.since is not None:
            return
        for charge in known.charges:
            bucket = self._buckets.get(charge.key)
            if bucket is not None and tokens is not None:
                bucket.correct(charge, tokens, now)
        # What a further attempt uses is charged in full.
        nothing_more = tuple(charge._replace(weight=0.0, expected=0.0) for charge in known.charges)
        self._keep(job_id, _Record(now + SETTLED_SECONDS, charges=nothing_more))

    def _bucket(self, charge: Charge, now: float) -> _Bucket:
        bucket = self._buckets.get(charge.key)
        if bucket is None:
            bucket = self._buckets[charge.key] = _Bucket(charge.limit, charge.window)
        return bucket.limited(charge.limit, charge.window, now)

    def _keep(self, job_id: str, record: _Record) -> None:
        self._records[job_id] = record
        heapq.heappush(self._due, (record.expires, job_id))

    def _expire(self, now: float) -> None:
        """Forget who is not heard of any more, and give back what was reserved for him."""
        while self._due and self._due[0][0] <= now:
            _, job_id = heapq.heappop(self._due)
            known = self._records.get(job_id)
            if known is None or known.expires > now:
                continue
            if known.lease:
                self._settle(job_id, 0, now)
            else:
                del self._records[job_id]
        if len(self._buckets) > self._many:
            # A bucket that is full again is as good as none.
            self._buckets = {key: b for key, b in self._buckets.items() if max(b.full_at, b.line, b.back) > now}
            self._many = _MANY + 2 * len(self._buckets)
