"""The bus over PostgreSQL: LISTEN and NOTIFY."""

import logging
from collections.abc import Iterable

from synthralos.bus.line import Line
from synthralos.bus.protocol import Listener, Topic
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreError
from synthralos.store.sql.notices import Notice, encode_notices, tell

log = logging.getLogger(__name__)

_PAYLOAD_IDS = 200
"""PostgreSQL takes 8,000 bytes a notification; an id has 36."""

_PATIENCE = 5.0
"""Seconds that a subscriber waits for the line; it hears later where the database is away."""


class PostgresBus:
    """`NOTIFY` by itself, outside of any transaction that writes (it takes a global lock).

    The ends of interactive jobs are told by the statement that writes them: see `notices`. `line` is what everything
    is heard on.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.line = Line(database)

    def publish(self, topic: Topic, job_ids: Iterable[str]) -> None:
        """Tell all processes; what cannot be said now is found out by polling."""
        notices = self.notices(topic, job_ids)
        if not notices:
            return
        try:
            with self._database.one_statement() as connection:
                connection.execute(tell(), {"notices": encode_notices(notices)})
        except StoreError as error:
            log.debug("could not notify: %s", error)

    def notices(self, topic: Topic, job_ids: Iterable[str]) -> list[Notice]:
        """What `publish` would say."""
        ids = list(job_ids)
        return [Notice(str(topic), ",".join(ids[i : i + _PAYLOAD_IDS])) for i in range(0, len(ids), _PAYLOAD_IDS)]

    def subscribe(self, topic: Topic, listener: Listener) -> None:
        """Hear what any process publishes from now on."""
        self.line.listen(str(topic), lambda payloads: listener(None if payloads is None else _ids(payloads)))
        self.line.ready(_PATIENCE)

    def close(self) -> None:
        """Hear no more."""
        self.line.close()


def _ids(payloads: list[str]) -> list[str]:
    return [job_id for payload in payloads for job_id in payload.split(",")]
