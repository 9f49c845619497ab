"""The bus over PostgreSQL: LISTEN and NOTIFY."""

import logging
import select
import threading
from collections.abc import Iterable
from contextlib import suppress

import psycopg
import sqlalchemy as sa

from synthralos.bus.memory import MemoryBus
from synthralos.bus.protocol import Listener, Notice, Topic
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreError

log = logging.getLogger(__name__)

_PAYLOAD_IDS = 200
"""PostgreSQL takes 8,000 bytes a notification; an id has 36."""


class PostgresBus:
    """`NOTIFY` by itself, outside of any transaction that writes (it takes a global lock), `LISTEN` in a thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = MemoryBus()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._listening = threading.Event()
        self._connection: psycopg.Connection | None = None
        self._topics: list[Topic] = []

    def publish(self, topic: Topic, job_ids: Iterable[str]) -> None:
        """Tell all processes; what cannot be said now is found out by polling."""
        notices = self.notices(topic, job_ids)
        if not notices:
            return
        notify = sa.select(sa.func.pg_notify(sa.bindparam("channel"), sa.bindparam("payload")))
        try:
            with self._database.snapshot() as connection:
                for channel, payload in notices:
                    connection.execute(notify, {"channel": channel, "payload": payload})
        except StoreError as error:
            log.debug("could not notify: %s", error)

    def notices(self, topic: Topic, job_ids: Iterable[str]) -> list[Notice]:
        """What `publish` would say."""
        ids = list(job_ids)
        return [(str(topic), ",".join(ids[i : i + _PAYLOAD_IDS])) for i in range(0, len(ids), _PAYLOAD_IDS)]

    def subscribe(self, topic: Topic, listener: Listener) -> None:
        """Hear what any process publishes from now on."""
        self._local.subscribe(topic, listener)
        if topic not in self._topics:
            self._topics.append(topic)
            if (connection := self._connection) is not None:
                with suppress(psycopg.Error):  # the next connection listens to all topics
                    connection.execute(f'LISTEN "{topic}"')
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, name="bus", daemon=True)
            self._thread.start()
            self._listening.wait(5)

    def close(self) -> None:
        """Stop the listening thread."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(5)
        self._local.close()

    def _listen(self) -> None:
        pause = 0.1
        while not self._stopped.is_set():
            try:
                self._listen_once()
                pause = 0.1
            except psycopg.Error as error:
                self._connection = None
                log.debug("the bus lost its connection: %s", error)
                self._stopped.wait(pause)
                pause = min(pause * 2, 5.0)

    def _listen_once(self) -> None:
        with self._database.connect("-bus") as connection:
            self._connection = connection
            for topic in list(self._topics):
                connection.execute(f'LISTEN "{topic}"')
            self._listening.set()
            self._wake_everybody()
            while not self._stopped.is_set():
                if select.select([connection.fileno()], [], [], 0.5)[0]:
                    for message in connection.notifies(timeout=0):
                        self._local.publish(Topic(message.channel), message.payload.split(","))

    def _wake_everybody(self) -> None:
        """After a lost connection, anything may have been missed."""
        for topic in Topic:
            for listener in list(self._local._listeners[topic]):
                listener(None)
