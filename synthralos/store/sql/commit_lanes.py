"""The committing threads of a group commit: batches in the main lane, what fails for its own reasons in the side lane.

An error that says that the database is away stops the main lane, which tries again. Any other error is about what the
batch holds: the batch goes to the side lane, is tried there in smaller and smaller parts, and the main lane goes on.
So a locked row, which costs its lock's time-out with each try, holds up nobody but itself.
"""

import contextlib
import heapq
import itertools
import logging
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from synthralos.store.sql import outage
from synthralos.store.sql.commit_parts import Entry, Part, Pending
from synthralos.store.sql.errors import Kind, classify
from synthralos.telemetry.outages import DATABASE, Outages

log = logging.getLogger(__name__)

PARTS_IN_A_ROW = 16
"""Parts of batches that the side lane tries before it gives one of those items a try that failed alone before."""

Flush = Callable[[Sequence[Any]], Sequence[Any]]
Told = Callable[[Sequence[Entry], "Sequence[Any] | Exception"], None]
"""Takes the entries of one flush and their results, or the error that all of them get."""

_LEVELS = {Kind.CONTENTION: logging.INFO, Kind.SIZE: logging.WARNING, Kind.DATA: logging.ERROR, Kind.BUG: logging.ERROR}
"""How loudly it is said that a batch failed for reasons of its own."""


def _nobody_asks() -> None:
    return


class Lane(ABC):
    """A thread that flushes. It is started with the first thing that it has to do."""

    def __init__(self, name: str, flush: Flush, told: Told, outages: Outages) -> None:
        self._name = name
        self._outages = outages
        self._flush = flush
        self._told = told
        self._thread: threading.Thread | None = None
        self._bell: queue.SimpleQueue[Sequence[Part]] = queue.SimpleQueue()
        self._stopping = False
        self._ended: Callable[[], object] = _nobody_asks
        self.flushing: tuple[float, int] | None = None
        """Since when (`time.monotonic`) how many items are being flushed."""

    def ring(self, parts: Sequence[Part] = ()) -> None:
        """There is something to do. Called by one thread alone."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"commit-{self._name}", daemon=True)
            self._thread.start()
        self._bell.put(parts)

    def stop(self, ended: Callable[[], object]) -> None:
        """Let the thread end after the flush that it is in; `ended` is called by it, or at once where there is none."""
        self._stopping = True
        if self._thread is None:
            ended()
            return
        self._ended = ended
        self._bell.put(())

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:
                log.critical("%s: a bug in the group commit", self._name, exc_info=True)
        self._ended()

    def _wait(self, seconds: float | None) -> None:
        """Until the bell rings, or so long."""
        with contextlib.suppress(queue.Empty):
            self._keep(self._bell.get(timeout=seconds))

    def _keep(self, parts: Sequence[Part]) -> None:
        """Have these for later. What came with the bell is nothing, where nobody sends parts with it."""
        assert not parts

    @abstractmethod
    def _turn(self) -> None:
        """Wait for something to do, and do it."""

    def _write(self, part: Part) -> list[Part]:
        """Try a part once; what is left of it. That is the part itself where the database is away."""
        attempt = part.attempt()
        if not attempt:
            return []
        try:
            results = self._flushed([entry.item for entry in attempt])
        except Exception as error:  # noqa: BLE001 - the edge of a flush: its callers get the error
            return self._after(part, attempt, error)
        self._outages.works(DATABASE)
        self._told(attempt, results)
        return part.without(attempt)

    def _flushed(self, items: list[Any]) -> Sequence[Any]:
        self.flushing = time.monotonic(), len(items)
        try:
            results = self._flush(items)
        finally:
            self.flushing = None
        if len(results) != len(items):
            raise RuntimeError(f"{self._name}: {len(results)} results for {len(items)} items")
        return results

    def _after(self, part: Part, attempt: list[Entry], error: Exception) -> list[Part]:
        kind = classify(error)
        if kind is Kind.AGAIN:
            outage.tell(self._outages, error)
            part.failed(error, away=True)
            return [part]
        if len(attempt) > 1:
            log.log(
                _LEVELS[kind], "%s: a write of %d items failed, trying them apart: %s", self._name, len(attempt), error
            )
            return part.without(())
        if kind is not Kind.CONTENTION:
            self._told(attempt, error)
            return part.without(attempt)
        alone = part if len(part.entries) == 1 else Part(attempt, self._name)
        alone.failed(error, away=False)
        return [alone, *part.without(attempt)]


class SideLane(Lane):
    """Parts of batches that failed, and items that failed alone, each until it is written or refused for good."""

    def __init__(self, name: str, flush: Flush, told: Told, outages: Outages) -> None:
        super().__init__(f"{name}-aside", flush, told, outages)
        self._fresh: deque[Part] = deque()
        self._later: list[tuple[float, int, Part]] = []
        self._numbers = itertools.count()
        self._in_a_row = 0

    def _turn(self) -> None:
        while not self._bell.empty():
            self._keep(self._bell.get())
        now = time.monotonic()
        due = bool(self._later) and self._later[0][0] <= now
        if self._fresh and not (due and self._in_a_row >= PARTS_IN_A_ROW):
            self._in_a_row += 1
            self._keep(self._write(self._fresh.popleft()))
        elif due:
            self._in_a_row = 0
            self._keep(self._write(heapq.heappop(self._later)[2]))
        else:
            self._wait(self._later[0][0] - now if self._later else None)

    def _keep(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if part.tries:
                heapq.heappush(self._later, (time.monotonic() + part.pause, next(self._numbers), part))
            else:
                self._fresh.append(part)


class MainLane(Lane):
    """Whatever waits, in batches, one after the other; the next one is taken without asking the loop."""

    def __init__(self, name: str, flush: Flush, told: Told, outages: Outages, pending: Pending, side: SideLane) -> None:
        super().__init__(name, flush, told, outages)
        self._pending = pending
        self._side = side
        self.rests = True
        """Whether it waits to be rung for."""

    def _turn(self) -> None:
        self.rests = True
        # Looked at after `rests` was set, as who adds an entry looks at `rests` afterwards: one of them sees the other.
        if not self._pending:
            self._wait(None)
            return
        self.rests = False
        part = Part(self._pending.fill([]), self._name)
        while self._is_away(part) and not self._stopping:
            self._pause(part)
            part.entries = self._pending.fill(part.entries)

    def _pause(self, part: Part) -> None:
        """Before the next try. What comes after a part that was given up has not waited yet: it is tried at once."""
        until = time.monotonic() + part.pause
        while part.is_wanted and not self._stopping and (left := until - time.monotonic()) > 0:
            self._wait(left)

    def _is_away(self, part: Part) -> bool:
        """Write the part. True where the database is away; what fails for its own reasons is the side lane's."""
        left = self._write(part)
        if left == [part] and part.away:
            return True
        if left:
            self._side.ring(left)
        return False
