"""Who follows answers while they are written: one subscription to the streams, one read for all that were woken."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from synthralos.domain.deltas import Chunk, Place
from synthralos.streams.protocol import RENEW_SECONDS, Streams, StreamsAwayError

log = logging.getLogger(__name__)

Run = Callable[[Callable[[], None]], Awaitable[None]]

_MOST_AT_ONCE = 256
"""Jobs whose chunks are read together."""


class Follower:
    """One reader of one job's deltas. `place` is how far it was told. Lives on the event loop."""

    def __init__(self, job_id: str, place: Place) -> None:
        self.job_id = job_id
        self.place = place
        self._chunks: list[Chunk] = []
        self._waiting: asyncio.Future[None] | None = None

    def give(self, chunks: Sequence[Chunk]) -> None:
        """These are kept; those that it has already are left out."""
        last = self._chunks[-1].place if self._chunks else self.place
        fresh = [chunk for chunk in chunks if _order(chunk.place) > _order(last)]
        if fresh:
            self._chunks += fresh
            self.ring()

    def goes_on_with(self, chunk: Chunk) -> bool:
        """Whether the chunk is the very next one."""
        last, place = self.reads_after, chunk.place
        if place.attempt == last.attempt:
            return place.chunk == last.chunk + 1
        return place.attempt > last.attempt and place.chunk == 1

    def ring(self) -> None:
        """Let `news` return."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def news(self) -> None:
        """Return when there is something to take, or at the next `ring`."""
        if self._chunks:
            return
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting

    def take(self) -> list[Chunk]:
        """What came since the last time."""
        chunks, self._chunks = self._chunks, []
        if chunks:
            self.place = chunks[-1].place
        return chunks

    @property
    def reads_after(self) -> Place:
        """The place from which it needs more."""
        return self._chunks[-1].place if self._chunks else self.place


class Deltas:
    """All who follow in this process, by job. Lives on one event loop; `heard` may be called from any thread."""

    def __init__(self, streams: Streams, run: Run, poll_seconds: float) -> None:
        """`run` runs something that blocks in a thread."""
        self.reads = 0
        self._streams, self._run, self._poll_seconds = streams, run, poll_seconds
        self._by_job: dict[str, set[Follower]] = {}
        self._woken: dict[str, None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._beats: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hears = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Live on `loop` from now on."""
        self._loop = loop

    def heard(self, told: Sequence[Chunk | str] | None) -> None:
        """The streams' listener."""
        if self._loop is None or not self._by_job:
            return
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._hear, told)

    def _hear(self, told: Sequence[Chunk | str] | None) -> None:
        """Chunks that follow what their readers have are given to them; the others are looked for."""
        if told is None:
            self._wake(None)
            return
        missing = [each for each in told if isinstance(each, str)]
        for chunk in told:
            if not isinstance(chunk, str):
                missing += self._pass_on(chunk)
        if missing:
            self._wake(missing)

    def _pass_on(self, chunk: Chunk) -> list[str]:
        """Give the chunk to its readers; the job, where one of them lacks what comes before."""
        missing = []
        for follower in self._by_job.get(chunk.job_id, ()):
            if follower.goes_on_with(chunk):
                follower.give([chunk])
            elif _order(chunk.place) > _order(follower.reads_after):
                missing = [chunk.job_id]
        return missing

    @contextlib.contextmanager
    def following(self, job_id: str, place: Place) -> Iterator[Follower]:
        """Follow a job from a place on: what is there already comes first."""
        follower = Follower(job_id, place)
        self._by_job.setdefault(job_id, set()).add(follower)
        self._spawn(self._begin(job_id))
        if not self._beats:
            self._beats = [asyncio.create_task(self._poll()), asyncio.create_task(self._renew())]
        try:
            yield follower
        finally:
            followers = self._by_job[job_id]
            followers.discard(follower)
            if not followers:
                del self._by_job[job_id]

    async def catch_up(self, follower: Follower) -> None:
        """Give the follower all that is kept now; what cannot be read is left to the job's result."""
        with contextlib.suppress(StreamsAwayError):
            await self._read([follower.job_id])

    def release(self) -> None:
        """Read no more: the process is about to stop."""
        for task in (*self._beats, *self._tasks, *(() if self._reading is None else (self._reading,))):
            task.cancel()

    @property
    def followed(self) -> int:
        """How many jobs are followed."""
        return len(self._by_job)

    async def _begin(self, job_id: str) -> None:
        """Say that somebody listens before the first look, so that nothing falls in between."""

        def listen() -> None:
            if not self._hears:
                self._hears = True
                self._streams.hear(self.heard)
            self._streams.listens([job_id])

        await self._run(listen)
        self._wake([job_id])

    def _spawn(self, todo: Awaitable[None]) -> None:
        async def done() -> None:
            await todo

        task = asyncio.get_running_loop().create_task(done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self, job_ids: Sequence[str] | None) -> None:
        wanted = self._by_job if job_ids is None else [job_id for job_id in job_ids if job_id in self._by_job]
        self._woken.update(dict.fromkeys(wanted))
        if self._woken and self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read_all())

    async def _read_all(self) -> None:
        try:
            while self._woken:
                batch = list(self._woken)[:_MOST_AT_ONCE]
                for job_id in batch:
                    del self._woken[job_id]
                try:
                    await self._read(batch)
                except StreamsAwayError as error:
                    log.debug("what was streamed of %d jobs could not be read: %s", len(batch), error)
        finally:
            self._reading = None

    async def _read(self, job_ids: Sequence[str]) -> None:
        places = {job_id: self._least(job_id) for job_id in job_ids if job_id in self._by_job}
        if not places:
            return
        found: dict[str, list[Chunk]] = {}
        await self._run(lambda: found.update(self._streams.after(places)))
        self.reads += 1
        for job_id, chunks in found.items():
            for follower in self._by_job.get(job_id, ()):
                follower.give(chunks)

    def _least(self, job_id: str) -> Place:
        return min((follower.reads_after for follower in self._by_job[job_id]), key=_order)

    async def _poll(self) -> None:
        """The bus may lose a message, and a read may fail."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            self._wake(None)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            listened = list(self._by_job)
            if listened:
                await self._run(lambda: self._streams.listens(listened))  # noqa: B023 - run before the next round


def _order(place: Place) -> tuple[int, int]:
    return place.attempt, place.chunk


def rest_of(result: Mapping[str, object], attempt: int, place: Place) -> Chunk | None:
    """What a finished answer has beyond what was told of it: after a resume, or where chunks were lost."""
    same = place.attempt == attempt
    told = place if same else Place(attempt)
    text, reasoning = (value if isinstance(value := result.get(name), str) else "" for name in ("text", "reasoning"))
    calls = result.get("tool_calls")
    tools = tuple(_call(n, call) for n, call in enumerate(calls)) if isinstance(calls, list) and not same else ()
    if len(text) <= told.text and len(reasoning) <= told.reasoning and not tools:
        return None
    end = Place(attempt, told.chunk + 1, max(len(text), told.text), max(len(reasoning), told.reasoning))
    return Chunk("", end, str(result.get("deployment") or ""), text[told.text :], reasoning[told.reasoning :], tools)


def _call(index: int, call: Mapping[str, object]) -> dict[str, object]:
    function = call.get("function")
    known = function if isinstance(function, dict) else {}
    return {"index": index, "id": call.get("id"), "name": known.get("name"), "arguments": known.get("arguments") or ""}
