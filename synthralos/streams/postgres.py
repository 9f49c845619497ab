"""The streams over PostgreSQL: a table of chunks, and the bus for who listens and what is new."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from synthralos.bus.postgres import PostgresBus
from synthralos.bus.protocol import Topic
from synthralos.domain.deltas import Chunk, Place
from synthralos.store.queue.stream_chunks import CHANNEL, StreamChunks, told_in
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreError
from synthralos.streams.protocol import LISTENING_SECONDS, MOST_CHUNKS, Listener, StreamsAwayError

_PATIENCE = 5.0
"""Seconds that a listener waits for the line; it hears later where the database is away."""

MOST_LISTENED = 100_000
"""Jobs that are remembered as listened to."""


class Audience:
    """To which jobs somebody listens, in whichever process. Thread-safe."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._all_until = time.monotonic() + LISTENING_SECONDS
        self._lock = threading.Lock()

    def heard(self, job_ids: Sequence[str] | None) -> None:
        """The bus's listener. None: anything may have been missed, so all are listened to for a while."""
        until = time.monotonic() + LISTENING_SECONDS
        with self._lock:
            if job_ids is None:
                self._all_until = until
                return
            for job_id in job_ids:
                self._until[job_id] = until
            if len(self._until) > MOST_LISTENED:
                now = time.monotonic()
                self._until = {job_id: at for job_id, at in self._until.items() if at > now}

    def of(self, job_ids: Iterable[str]) -> list[str]:
        """Those of the jobs that somebody listens to."""
        now = time.monotonic()
        if self._all_until > now:
            return list(job_ids)
        return [job_id for job_id in job_ids if self._until.get(job_id, 0.0) > now]


class PostgresStreams:
    """See `Streams`.

    A chunk is told by the statement that keeps it, if somebody listens: a process that has just begun does not know,
    and tells for `LISTENING_SECONDS` of everything.
    """

    def __init__(self, database: Database, bus: PostgresBus) -> None:
        self._chunks = StreamChunks(database)
        self._bus = bus
        self._audience: Audience | None = None
        self._starting = threading.Lock()

    def append(self, chunks: Sequence[Chunk]) -> None:
        """See `Streams.append`."""
        listened = set(self._hall().of({chunk.job_id for chunk in chunks}))
        try:
            self._chunks.append(chunks, listened)
        except StoreError as error:
            raise StreamsAwayError(str(error)) from error

    def after(self, places: Mapping[str, Place]) -> dict[str, list[Chunk]]:
        """See `Streams.after`."""
        try:
            return self._chunks.after(places, MOST_CHUNKS)
        except StoreError as error:
            raise StreamsAwayError(str(error)) from error

    def forget(self, job_ids: Iterable[str]) -> None:
        """See `Streams.forget`. Whoever removes jobs removes their chunks by that."""

    def hear(self, listener: Listener) -> None:
        """See `Streams.hear`."""
        self._bus.line.listen(CHANNEL, lambda told: listener(None if told is None else [*map(told_in, told)]))
        self._bus.line.ready(_PATIENCE)

    def listens(self, job_ids: Iterable[str]) -> None:
        """See `Streams.listens`."""
        self._bus.publish(Topic.LISTENING, job_ids)

    def close(self) -> None:
        """See `Streams.close`. The bus is its owner's."""

    def _hall(self) -> Audience:
        """Who listens is heard from the first chunk on: most processes never write any."""
        if self._audience is None:
            with self._starting:
                if self._audience is None:
                    audience = Audience()
                    self._bus.subscribe(Topic.LISTENING, audience.heard)
                    self._audience = audience
        return self._audience
