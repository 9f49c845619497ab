"""One LISTEN connection and one thread for everything that a process hears from PostgreSQL."""

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Any

import psycopg

from synthralos.store.sql.database import Database

log = logging.getLogger(__name__)

Hear = Callable[[list[str] | None], None]
"""Called in the line's thread with the payloads that came together, in their order, or with None when the line was
made anew and anything may have been missed. It must be quick."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to connect."""


class Line:
    """Listens to channels, which come and go while it is open; connects with the first one, and again when it is lost.

    The thread alone talks on the connection: whoever wants another channel says so and wakes it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changed = threading.Condition()
        self._ears: dict[str, tuple[Hear, ...]] = {}
        self._heard_on: set[str] = set()
        self._failing = self._stopped = False
        self._thread: threading.Thread | None = None
        self._wake_in, self._wake_out = -1, -1
        self._pause = _FIRST_PAUSE

    def listen(self, channel: str, hear: Hear) -> None:
        """Have `hear` called with what is notified on `channel`, from soon on: see `ready`. Raises nothing."""
        with self._changed:
            self._ears[channel] = (*self._ears.get(channel, ()), hear)
            self._wake()

    def leave(self, channel: str) -> None:
        """Listen to `channel` no more."""
        with self._changed:
            if self._ears.pop(channel, None) is not None:
                self._wake()

    def ready(self, timeout: float) -> bool:
        """Wait until the server knows all channels; False: not in `timeout` seconds, or it cannot be reached."""
        with self._changed:
            self._changed.wait_for(lambda: self._complete() or self._failing or self._stopped, timeout)
            return self._complete()

    def close(self) -> None:
        """Hear no more."""
        with self._changed:
            self._ears.clear()
            self._stopped = True
            self._changed.notify_all()
            if self._thread is not None:
                self._wake()
        if self._thread is not None:
            self._thread.join(5)

    def _complete(self) -> bool:
        return self._heard_on == set(self._ears)

    def _wake(self) -> None:
        if self._thread is None and not self._stopped:
            self._wake_out, self._wake_in = os.pipe()
            self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
            self._thread.start()
        elif self._wake_in >= 0:
            os.write(self._wake_in, b"!")

    def _run(self) -> None:
        while not self._stopped:
            try:
                with self._database.connect("-bus") as connection:
                    self._attend(connection)
            except psycopg.Error as error:
                self._lost(error)
        with self._changed:
            os.close(self._wake_out)
            os.close(self._wake_in)
            self._wake_in = -1

    def _lost(self, error: psycopg.Error) -> None:
        log.debug("the line to the database was lost: %s", error)
        with self._changed:
            self._heard_on = set()
            self._failing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped, self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _attend(self, connection: "psycopg.Connection[Any]") -> None:
        heard: list[tuple[str, str]] = []
        # What comes in while a command runs is heard through the driver, the rest straight from libpq.
        connection.add_notify_handler(lambda notice: heard.append((notice.channel, notice.payload)))
        poll = select.poll()  # not select(), which takes no descriptor above 1023
        for descriptor in (connection.fileno(), self._wake_out):
            poll.register(descriptor, select.POLLIN)
        self._tune(connection)
        self._pause = _FIRST_PAUSE
        for hears in list(self._ears.values()):
            _tell(hears, None)
        while not self._stopped:
            self._deliver(heard)
            if self._wake_out in {descriptor for descriptor, _ in poll.poll()}:
                os.read(self._wake_out, 4096)
                self._tune(connection)
            _collect(connection.pgconn, heard)

    def _tune(self, connection: "psycopg.Connection[Any]") -> None:
        """Listen to what is wanted, and to nothing else."""
        while not self._stopped:
            with self._changed:
                wanted, known = set(self._ears), set(self._heard_on)
                if wanted == known:
                    self._failing = False
                    self._changed.notify_all()
                    return
            for verb, channels in (("LISTEN", wanted - known), ("UNLISTEN", known - wanted)):
                for channel in sorted(channels):
                    connection.execute(f'{verb} "{channel}"'.encode())
            with self._changed:
                self._heard_on = wanted

    def _deliver(self, heard: list[tuple[str, str]]) -> None:
        """Notices of one channel that came together are told together."""
        payloads: dict[str, list[str]] = {}
        for channel, payload in heard:
            payloads.setdefault(channel, []).append(payload)
        heard.clear()
        for channel, told in payloads.items():
            _tell(self._ears.get(channel, ()), told)


def _collect(pgconn: Any, heard: list[tuple[str, str]]) -> None:
    """Whatever has arrived. Raises `psycopg.OperationalError` where the connection is lost."""
    pgconn.consume_input()
    while (notice := pgconn.notifies()) is not None:
        heard.append((notice.relname.decode(), notice.extra.decode()))


def _tell(hears: tuple[Hear, ...], payloads: list[str] | None) -> None:
    for hear in hears:
        try:
            hear(payloads)
        except Exception:
            log.critical("who listens to the database failed", exc_info=True)
