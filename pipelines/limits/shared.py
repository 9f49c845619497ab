"""The meter in Redis: what it counts, all processes with that Redis count together, by the server's clock.

One call serves a batch. Keys of several tenants are used by one call, so the server has to be a single one (with
replicas if you like), no cluster.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from queue import SimpleQueue
from typing import Any

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipelines.limits.protocol import (
    LEASE_SECONDS,
    PLACE_SECONDS,
    SETTLED_SECONDS,
    Answer,
    Ask,
    MeterAwayError,
    Settled,
    Status,
)

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds that Redis may take to connect or to answer: a batch of jobs waits for it."""

PAUSE = 1.0
"""Seconds for which Redis is left alone after a failure, so that not each batch waits for it anew."""

_TRIES = 30
"""How often a settlement is tried, a pause apart: after that the lease gives the tokens back."""

_MOST = 500
_MICRO = 1_000_000


class RedisMeter:
    """See `Meter`."""

    def __init__(self, url: str, prefix: str, clock: Callable[[], float] | None = None) -> None:
        """All keys begin with `prefix`. `clock`, in seconds, stands in for the server's. Connects when first used."""
        # Once more at once, for a connection that died idle.
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE, retry=Retry(NoBackoff(), 1)
        )
        self._script = self._client.register_script(files(__package__).joinpath("meter.lua").read_text())
        self._prefix = prefix
        self._clock = clock
        self._lasting = orjson.dumps([int(s * _MICRO) for s in (LEASE_SECONDS, SETTLED_SECONDS, PLACE_SECONDS)])
        self._again_at = 0.0
        self._queue: SimpleQueue[Settled | None] = SimpleQueue()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def admit(self, asks: Sequence[Ask]) -> list[Answer]:
        """See `Meter.admit`."""
        if time.monotonic() < self._again_at:
            raise MeterAwayError("Redis did not answer a moment ago")
        rows = [
            [ask.job_id, ask.patience * _MICRO, [[*c[:4], int(c.window * _MICRO), c.settled] for c in ask.charges]]
            for ask in asks
        ]
        try:
            found = self._run("admit", rows)
        except redis.RedisError as error:
            self._again_at = time.monotonic() + PAUSE
            raise MeterAwayError(f"{type(error).__name__}: {error}") from error
        return [Answer(Status(int(status)), wait / _MICRO, int(which)) for status, wait, which in found]

    def settle(self, settled: Sequence[Settled]) -> None:
        """See `Meter.settle`."""
        if self._thread is None:
            self._start()
        for each in settled:
            self._queue.put(each)

    def settle_now(self, settled: Sequence[Settled]) -> None:
        """The same, and returns when it is done; raises `redis.RedisError`."""
        self._run("settle", [[job_id, -1 if tokens is None else tokens] for job_id, tokens in settled])

    def close(self) -> None:
        """See `Meter.close`."""
        self._closing.set()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(2 * PATIENCE + PAUSE)
        self._client.close()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._settle_all, name="rate-limits", daemon=True)
                self._thread.start()

    def _settle_all(self) -> None:
        while not self._closing.is_set() or not self._queue.empty():
            batch = self._batch()
            if batch:
                self._settle_batch(batch)

    def _batch(self) -> list[Settled]:
        """What is to be settled, as much as there is; waits for the first."""
        batch = [self._queue.get()]
        while len(batch) < _MOST and not self._queue.empty():
            batch.append(self._queue.get())
        return [each for each in batch if each is not None]

    def _settle_batch(self, batch: list[Settled]) -> None:
        for _ in range(_TRIES):
            try:
                self.settle_now(batch)
                return
            except redis.RedisError as error:
                reason = type(error).__name__
            if self._closing.wait(PAUSE):
                break
        log.warning("the tokens of %d jobs were not settled (%s): their reservations will lapse", len(batch), reason)

    def _run(self, act: str, rows: list[list[Any]]) -> Any:
        now = [] if self._clock is None else [int(self._clock() * _MICRO)]
        return orjson.loads(self._script(keys=[self._prefix], args=[act, orjson.dumps(rows), self._lasting, *now]))
