"""Group read: whatever is asked for while a read runs goes into the next one.

What `group_commit` is for writes: no timers, no tuning. An idle system reads at once, a busy one many items at a time.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from synthralos.store.sql.errors import is_transient

log = logging.getLogger(__name__)

Value = TypeVar("Value")
Told = Callable[[str, Any], None]
"""Called on the loop with the key and its value, None where there is none, or the error of the read."""

MOST_AT_ONCE = 64
"""Items of one read: each may be of some megabytes."""


class GroupRead(Generic[Value]):
    """Reads by key, in a thread of its own that is started with the first one.

    `read` gives what it finds of the keys. An error that time heals is tried again once: a pooled connection that was
    found dead is replaced. `reads` counts the reads, `keys` what was looked up by them.
    """

    def __init__(self, name: str, read: Callable[[Sequence[str]], Mapping[str, Value]]) -> None:
        self.reads = self.keys = 0
        self._name = name
        self._read = read
        self._asked: queue.SimpleQueue[tuple[str, Told] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; answers come on `loop`."""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name=f"read-{self._name}", daemon=True)
        self._thread.start()

    def ask(self, key: str, told: Told) -> None:
        """Look the key up, and have `told` called later. Any thread may ask; it does not block."""
        self._asked.put((key, told))

    async def get(self, key: str) -> Value | None:
        """The value of the key; raises what its read raised. On the loop that it is attached to."""
        future: asyncio.Future[Value | None] = asyncio.get_running_loop().create_future()

        def told(_: str, found: Any) -> None:
            if future.done():
                return
            if isinstance(found, Exception):
                future.set_exception(found)
            else:
                future.set_result(found)

        self.ask(key, told)
        return await future

    def close(self) -> None:
        """Read what was asked for, and end the thread; blocks until then."""
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        open_ = True
        while open_:
            batch = [self._asked.get()]
            while len(batch) < MOST_AT_ONCE and not self._asked.empty():
                batch.append(self._asked.get())
            entries = [entry for entry in batch if entry is not None]
            open_ = len(entries) == len(batch)
            if entries:
                self._serve(entries)

    def _serve(self, entries: Sequence[tuple[str, Told]]) -> None:
        keys = list(dict.fromkeys(key for key, _ in entries))
        try:
            found: Mapping[str, Any] = self._found(keys)
        except Exception as error:  # noqa: BLE001 - the edge of the thread: who asked gets the error
            found = dict.fromkeys(keys, error)
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._tell, entries, found)

    def _found(self, keys: Sequence[str]) -> Mapping[str, Value]:
        self.reads += 1
        self.keys += len(keys)
        try:
            return self._read(keys)
        except Exception as error:
            if not is_transient(error):
                raise
            return self._read(keys)

    def _tell(self, entries: Sequence[tuple[str, Told]], found: Mapping[str, Any]) -> None:
        for key, told in entries:
            try:
                told(key, found.get(key))
            except Exception:
                log.error("%s: who was told of a read failed", self._name, exc_info=True)
