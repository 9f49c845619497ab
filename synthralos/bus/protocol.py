"""The bus: tells other processes that jobs have changed, so that nobody who waits has to poll.

Best effort by design: what is said is only "look at these jobs again". Whoever waits looks again by itself
once in a while (`POLL_SECONDS`), so a lost message costs a moment and never a result.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Protocol

from synthralos.store.sql.notices import Notice

POLL_SECONDS = 1.0
"""How often a waiter looks by itself where nothing was heard: the price of a lost message."""


class Topic(StrEnum):
    """`finished`: the job is over. `changed`: it waits for something else now.

    `claim_revoked`: the job was cancelled or rerouted under its worker. `config`: what operators set has changed.
    `schedules`: a schedule was written (its id stands in place of a job's).
    `crowded`: so many jobs wait on a lane (its name stands in place of an id) that new ones have to stand in line;
    after it stand the paces of the lines (`synthralos.domain.standing`).
    `breakers`: circuit breakers (their names stand in place of ids) have changed; `quotas`: quotas of providers have.
    `operations`: an operation on many jobs (its id stands in place of a job's) was made or goes on.
    `repairs`: StackStorm is asked for a repair (of a job, whose id it is).
    `feed`: more of the feed can be read, or an event is to be delivered (ids of targets stand in place of jobs').
    `listening`: somebody wants to hear what the job's model says while it speaks.
    """

    FINISHED = "synthralos_finished"
    CHANGED = "synthralos_changed"
    CLAIM_REVOKED = "synthralos_claim_revoked"
    CONFIG = "synthralos_config"
    CROWDED = "synthralos_crowded"
    BREAKERS = "synthralos_breakers"
    OPERATIONS = "synthralos_operations"
    QUOTAS = "synthralos_quotas"
    LISTENING = "synthralos_listening"
    SCHEDULES = "synthralos_schedules"
    REPAIRS = "synthralos_repairs"
    FEED = "synthralos_feed"


Listener = Callable[[Sequence[str] | None], None]
"""Called with the ids of changed jobs, or None when any job may have changed (after a lost connection).
Runs in the bus's thread, or in the publisher's: it must be quick and must not raise."""


class Bus(Protocol):
    """Carries job ids between processes."""

    def publish(self, topic: Topic, job_ids: Iterable[str]) -> None:
        """Tell everybody; never raises."""
        ...

    def notices(self, topic: Topic, job_ids: Iterable[str]) -> list[Notice]:
        """The same, for a statement of the database that tells it when it is committed; none where that cannot be."""
        ...

    def subscribe(self, topic: Topic, listener: Listener) -> None:
        """Hear what is published from now on, here and elsewhere."""
        ...

    def close(self) -> None:
        """Stop hearing."""
        ...
