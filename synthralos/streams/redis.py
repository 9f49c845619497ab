"""The streams over Redis: a sorted set of chunks a job, and a message where somebody listens."""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from synthralos.domain.deltas import Chunk, Place
from synthralos.domain.ids import ID_LENGTH as ID
from synthralos.streams.protocol import KEEP_SECONDS, LISTENING_SECONDS, MOST_CHUNKS, Listener, StreamsAwayError

log = logging.getLogger(__name__)

_PATIENCE = 2.0
"""Seconds that Redis has for an answer."""

_PAUSE = 0.5
"""Seconds between two tries to hear."""

_APPEND = """
for index, job in ipairs(KEYS) do
  local key, place = ARGV[1] .. 'chunks:' .. job, ARGV[2 * index + 1]
  redis.call('ZADD', key, place, ARGV[2 * index + 2])
  redis.call('EXPIRE', key, ARGV[2])
  if redis.call('EXISTS', ARGV[1] .. 'listening:' .. job) == 1 then
    redis.call('PUBLISH', ARGV[1] .. 'deltas', job .. ARGV[2 * index + 2])
  end
end
return 0
"""
"""KEYS are job ids, one a chunk; ARGV: the prefix, the seconds to keep, then score and chunk for each. A chunk holds
its own place, so that a repeat is the same member."""


class RedisStreams:
    """See `Streams`. Hears in a thread of its own, from the first `hear` on."""

    def __init__(self, url: str, prefix: str) -> None:
        """All keys begin with `prefix`. Connects when first used."""
        times: dict[str, Any] = {"socket_connect_timeout": _PATIENCE, "socket_timeout": _PATIENCE}
        # Once more at once, for a connection that died idle.
        self._client = redis.Redis.from_url(url, **times, retry=Retry(NoBackoff(), 1))
        self._append = self._client.register_script(_APPEND)
        self._prefix = prefix
        self._listeners: tuple[Listener, ...] = ()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def append(self, chunks: Sequence[Chunk]) -> None:
        """See `Streams.append`."""
        arguments: list[Any] = [self._prefix, int(KEEP_SECONDS)]
        for chunk in chunks:
            arguments += [_score(chunk.place), orjson.dumps(chunk.stored())]
        try:
            self._append(keys=[chunk.job_id for chunk in chunks], args=arguments)
        except redis.RedisError as error:
            raise StreamsAwayError(f"Redis: {type(error).__name__}") from error

    def after(self, places: Mapping[str, Place]) -> dict[str, list[Chunk]]:
        """See `Streams.after`."""
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for job_id, place in places.items():
                    key = f"{self._prefix}chunks:{job_id}"
                    pipe.zrangebyscore(key, f"({_score(place)}", "+inf", start=0, num=MOST_CHUNKS)
                found = pipe.execute()
        except redis.RedisError as error:
            raise StreamsAwayError(f"Redis: {type(error).__name__}") from error
        return {
            job_id: [Chunk.from_stored(job_id, orjson.loads(written)) for written in kept]
            for job_id, kept in zip(places, found, strict=True)
        }

    def forget(self, job_ids: Iterable[str]) -> None:
        """See `Streams.forget`."""
        keys = [f"{self._prefix}chunks:{job_id}" for job_id in job_ids]
        try:
            if keys:
                self._client.unlink(*keys)
        except redis.RedisError as error:
            raise StreamsAwayError(f"Redis: {type(error).__name__}") from error

    def hear(self, listener: Listener) -> None:
        """See `Streams.hear`."""
        self._listeners = (*self._listeners, listener)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
            self._thread.start()

    def listens(self, job_ids: Iterable[str]) -> None:
        """See `Streams.listens`."""
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.set(f"{self._prefix}listening:{job_id}", 1, ex=int(LISTENING_SECONDS))
                pipe.execute()
        except redis.RedisError as error:
            log.debug("Redis was not told who listens: %s", type(error).__name__)

    def close(self) -> None:
        """See `Streams.close`."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE + 1)
        self._client.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._attend()
            except redis.RedisError as error:
                log.debug("what is said on Redis is not heard: %s", type(error).__name__)
                self._closing.wait(_PAUSE)

    def _attend(self) -> None:
        with self._client.pubsub() as messages:  # type: ignore[no-untyped-call]
            messages.subscribe(f"{self._prefix}deltas")
            while not self._closing.is_set():
                message = messages.get_message(timeout=_PAUSE)
                if message is None:
                    continue
                # Subscribed anew: whatever was said before was not heard.
                told = [_chunk(message["data"])] if message["type"] == "message" else None
                for listener in self._listeners:
                    with suppress(RuntimeError):  # a loop that is closed
                        listener(told)


def _chunk(told: bytes) -> Chunk:
    return Chunk.from_stored(told[:ID].decode(), orjson.loads(told[ID:]))


def _score(place: Place) -> int:
    """Chunks in their order: exact in a double, with fewer than 10^6 chunks an attempt."""
    return place.attempt * 1_000_000 + min(place.chunk, 999_999)
