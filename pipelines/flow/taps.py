"""From a call's deltas to chunks: the first at once, then what gathers while the last chunk is being written.

A tap has one chunk under way at most, so that a slow database gets larger chunks and not more of them. Nothing that a
job needs depends on its chunks: what cannot be written is tried again while the call goes on, and then let go.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from synthralos.domain.deltas import Chunk, Delta, Place, ToolDelta, merged_tools
from synthralos.streams.protocol import StreamsAwayError

log = logging.getLogger(__name__)

EVERY = 0.1
"""Seconds from one chunk of an answer to the next, at least."""

LARGE = 4_096
"""Characters that are not held back for that long."""

AGAIN = 0.5
"""Seconds until a chunk that could not be written is tried again."""

MOST_AT_ONCE = 256
"""Chunks that are written together."""

Append = Callable[[Sequence[Chunk]], None]


class Taps:
    """All taps of a process, and the thread that writes their chunks. `open` belongs to the event loop."""

    def __init__(self, append: Append, every: float = EVERY) -> None:
        self.chunks = self.lost = 0
        self.every = every
        self._append = append
        self._queue: SimpleQueue[tuple[Tap, Chunk] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def open(self, job_id: str, attempt: int, deployment: str) -> "Tap":
        """A tap for one call."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="deltas", daemon=True)
            self._thread.start()
        return Tap(self, job_id, attempt, deployment)

    def put(self, tap: "Tap", chunk: Chunk) -> None:
        """Have the chunk written; the tap is told on its loop."""
        self._queue.put((tap, chunk))

    def close(self, timeout: float = 2.0) -> None:
        """Write what is under way, for so many seconds at most."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout)

    def _run(self) -> None:
        stopped = False
        while not stopped:
            batch = [self._queue.get()]
            try:
                while len(batch) < MOST_AT_ONCE:
                    batch.append(self._queue.get_nowait())
            except Empty:
                pass
            stopped = None in batch
            self._write([item for item in batch if item is not None])

    def _write(self, batch: list[tuple["Tap", Chunk]]) -> None:
        if not batch:
            return
        chunks = [chunk for _, chunk in batch]
        try:
            self._append(chunks)
        except StreamsAwayError as error:
            log.debug("%d chunks could not be written: %s", len(batch), error)
            written = False
        except Exception:
            log.exception("a bug in the streams: %d chunks were not written", len(batch))
            written = False
        else:
            written = True
            self.chunks += len(batch)
        for loop in {tap.loop for tap, _ in batch}:
            mine = [item for item in batch if item[0].loop is loop]
            try:
                loop.call_soon_threadsafe(_told, mine, written)
            except RuntimeError:  # the loop is closed: nobody waits for these
                return


def _told(batch: list[tuple["Tap", Chunk]], written: bool) -> None:
    for tap, chunk in batch:
        tap.written(None if written else chunk)


class Tap:
    """The deltas of one call. Lives on the event loop."""

    __slots__ = (
        "_again", "_closed", "_flushed_at", "_job", "_place", "_reasoning", "_size", "_taps", "_text", "_timer",
        "_tools", "_writing", "loop", "told",
    )  # fmt: skip

    def __init__(self, taps: Taps, job_id: str, attempt: int, deployment: str) -> None:
        self.loop = asyncio.get_running_loop()
        self.told = False
        self._taps = taps
        self._job = job_id, deployment
        self._place = Place(attempt)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._tools: list[ToolDelta] = []
        self._size = 0
        self._flushed_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writing = self._closed = False
        self._again: Chunk | None = None

    def tell(self, delta: Delta) -> None:
        """One more delta: `Call.on_delta`."""
        self.told = True
        if delta.text:
            self._text.append(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        self._tools += delta.tools
        self._size += len(delta.text) + len(delta.reasoning) + sum(len(tool.arguments) for tool in delta.tools) + 1
        if not self._writing:
            self._flush_in_time()

    def close(self) -> None:
        """The call is over: what is left goes out at once."""
        self._closed = True
        if not self._writing:
            self._flush()

    def written(self, failed: Chunk | None) -> None:
        """The chunk under way was written, or it `failed`."""
        self._writing = False
        self._again = failed
        if failed is None:
            if self._size:
                self._flush_in_time()
        elif self._closed:
            self._taps.lost += 1  # the rest is had from the stored result
        else:
            self._wait(AGAIN)

    def _flush_in_time(self) -> None:
        left = self._flushed_at + self._taps.every - self.loop.time()
        if left <= 0 or self._closed or self._size >= LARGE:
            self._flush()
        else:
            self._wait(left)

    def _wait(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if not self._writing:
            self._flush()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        chunk = self._again or self._next_chunk()
        if chunk is not None:
            self._writing = True
            self._taps.put(self, chunk)

    def _next_chunk(self) -> Chunk | None:
        if not self._size:
            return None
        text, reasoning, before = "".join(self._text), "".join(self._reasoning), self._place
        self._place = Place(
            before.attempt, before.chunk + 1, before.text + len(text), before.reasoning + len(reasoning)
        )
        job_id, deployment = self._job
        chunk = Chunk(job_id, self._place, deployment, text, reasoning, merged_tools(self._tools))
        self._text, self._reasoning, self._tools, self._size = [], [], [], 0
        self._flushed_at = self.loop.time()
        return chunk
