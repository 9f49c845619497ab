"""The leader's digest within its share of the time."""

from scheduler.digesting import Digesting
from synthralos.domain.observing import TEXTS
from synthralos.store.sql.database import Database
from synthralos.store.tables import digests, trace_facts
from tests.conformance.test_store_digest import finished
from tests.fakes.stores import Store


class Clock:
    """Time that passes only where the test, or a reading of it, lets it."""

    def __init__(self, a_reading: float = 0.0) -> None:
        self.now = 1_000.0
        self._a_reading = a_reading

    def __call__(self) -> float:
        self.now += self._a_reading
        return self.now


def facts(store: Store) -> int:
    return len(store.rows(trace_facts))


def test_who_does_not_lead_does_nothing(store: Store, database: Database) -> None:
    finished(store)
    digesting = Digesting(database, 1.0, lambda: False, Clock(1.0))
    assert not digesting.round()
    assert facts(store) == 0


def test_the_leader_digests_and_indexes(store: Store, database: Database) -> None:
    finished(store)
    assert Digesting(database, 0.5, lambda: True, Clock()).round()
    assert facts(store) == 1
    [place] = store.rows(digests, digests.c.name == TEXTS)
    assert place["seq"] == 1


def test_who_used_up_the_share_waits(store: Store, database: Database) -> None:
    """Each reading of the clock takes a second, so one act takes more than what two seconds' share allows."""
    clock = Clock(1.0)
    digesting = Digesting(database, 0.02, lambda: True, clock)
    digesting.round()
    finished(store)
    digesting.round()
    assert facts(store) == 0
    for _ in range(20):  # the way from the beginning of all jobs takes some rounds
        clock.now += 600
        digesting.round()
    assert facts(store) == 1
