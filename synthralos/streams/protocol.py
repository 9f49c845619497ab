"""Streams: the chunks of running jobs, from any worker to any API process.

Best effort by design: a chunk that is lost costs a moment, because the stored result has all that was said. Whoever
listens looks by itself once in a while, as with the bus.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from synthralos.domain.deltas import Chunk, Place

KEEP_SECONDS = 86_400.0
"""How long chunks are kept. After that, and for what was lost, who comes back gets the rest of the stored result."""

LISTENING_SECONDS = 30.0
"""How long somebody who said that they listen to a job is believed; `RENEW_SECONDS`: how often they say it again."""
RENEW_SECONDS = 10.0

MOST_CHUNKS = 2_000
"""Chunks that one look gives of a job; there may be more behind them."""

Listener = Callable[[Sequence[Chunk | str] | None], None]
"""Called with new chunks, with the ids of jobs whose new chunks are too large to be told, or with None when any job
may have new ones. In a thread of the streams' or in the writer's: it must be quick and must not raise."""


class StreamsAwayError(Exception):
    """What keeps the chunks cannot be reached now."""


class Streams(Protocol):
    """Keeps chunks and tells of them. Everything may be called from any thread, and may block for a moment."""

    def append(self, chunks: Sequence[Chunk]) -> None:
        """Keep the chunks, and tell of those whose jobs somebody listens to; a repeat changes nothing.

        Raises `StreamsAwayError`, after which some of them may be kept.
        """
        ...

    def after(self, places: Mapping[str, Place]) -> dict[str, list[Chunk]]:
        """What was kept of each job after its place, in order, `MOST_CHUNKS` at most; raises `StreamsAwayError`."""
        ...

    def forget(self, job_ids: Iterable[str]) -> None:
        """Keep nothing of these jobs any more; raises `StreamsAwayError`."""
        ...

    def hear(self, listener: Listener) -> None:
        """Have `listener` called with the jobs that have new chunks."""
        ...

    def listens(self, job_ids: Iterable[str]) -> None:
        """Somebody here listens to these jobs, for `LISTENING_SECONDS` from now on. Never raises."""
        ...

    def close(self) -> None:
        """Hear no more, and give back connections."""
        ...
