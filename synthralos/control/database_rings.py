"""The database as the only doorbell: every ring is a NOTIFY to a living worker. For those who want no broker at all.

A ring that finds no worker is lost, and so is what waits in the memory of a worker that is killed: the sweeper rings
again for jobs that nobody came for.
"""

import logging
from typing import Any

import dramatiq

from synthralos.broker.queues import bell_of
from synthralos.control.direct_rings import DirectRings
from synthralos.store.sql.database import Database
from synthralos.store.sql.notices import encode_notices, tell
from synthralos.telemetry.outages import Outages

log = logging.getLogger(__name__)


class DatabaseCarrier:
    """A `Carrier` of the doorbell's messages."""

    def __init__(self, database: Database, direct: DirectRings) -> None:
        self.outages = Outages()
        self._database = database
        self._direct = direct

    def enqueue(self, message: "dramatiq.Message[Any]") -> None:
        """Ring a worker; raises what the store raises."""
        self._direct.start()
        stage, lane = bell_of(message.actor_name)
        notices = self._direct.notices([(stage, lane, job_id) for job_id in message.args[0]])
        if not notices:
            log.debug("no worker lives that serves %s; the sweeper will ring again", stage)
            return
        with self._database.one_statement() as connection:
            connection.execute(tell(), {"notices": encode_notices(notices)})

    def depth(self, queue_name: str) -> int:
        """None waits anywhere but in the workers' memory, which may be lost: the sweeper has to look after all."""
        return 0

    def hang_up(self) -> None:
        """Nothing is held."""
