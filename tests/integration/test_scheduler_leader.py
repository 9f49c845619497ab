"""Leading: one at a time, by a term that is given up here before anybody else can win it."""

from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from synthralos.control.leader import ROLE, Leader
from synthralos.store.admin.processes import Leadership
from synthralos.store.sql.errors import DatabaseFailed
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import leaders
from tests.fakes.stores import Store

TERM = 6.0


@dataclass
class Monotonic:
    """A clock that the test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def candidate(store: Store, clock: Monotonic) -> Leader:
    process_id = store.processes.register("scheduler")
    return Leader(Leadership(store.database, ROLE, process_id, TERM), TERM, clock=clock)


def run_out(store: Store) -> None:
    """The term that runs ends now, in the database."""
    with store.database.transaction() as connection:
        connection.execute(sa.update(leaders).values(until=utc_in(sa.literal(-0.01))))


def test_the_first_to_campaign_leads_and_nobody_beside_it(store: Store) -> None:
    clock = Monotonic()
    first, second = candidate(store, clock), candidate(store, clock)
    assert first.term is None
    assert (first.campaign(), second.campaign()) == (1, None)
    assert (first.term, second.term) == (1, None)


def test_a_renewed_lead_is_the_same_term(store: Store) -> None:
    clock = Monotonic()
    leader, rival = candidate(store, clock), candidate(store, clock)
    leader.campaign()
    for _ in range(5):
        clock.now += TERM / 3
        assert leader.campaign() == 1
        assert rival.campaign() is None


def test_a_term_that_ran_out_goes_to_whoever_comes_first(store: Store) -> None:
    clock = Monotonic()
    first, second = candidate(store, clock), candidate(store, clock)
    first.campaign()
    run_out(store)
    assert second.campaign() == 2
    assert first.campaign() is None
    assert first.term is None


def test_a_leader_that_cannot_renew_stops_before_its_term_ends(store: Store) -> None:
    clock = Monotonic()
    leader = candidate(store, clock)
    leader.campaign()
    clock.now += TERM * 0.85
    assert leader.term == 1
    clock.now += TERM * 0.1
    assert leader.term is None


def test_a_campaign_that_took_long_counts_from_its_beginning(store: Store) -> None:
    class Slow(Leadership):
        def campaign(self) -> int | None:
            won = super().campaign()
            clock.now += TERM
            return won

    clock = Monotonic()
    leader = Leader(Slow(store.database, ROLE, store.processes.register("scheduler"), TERM), TERM, clock=clock)
    assert leader.campaign() is None


def test_a_failed_renewal_leaves_the_lead_until_its_term_ends(store: Store) -> None:
    clock = Monotonic()
    leader = candidate(store, clock)
    leader.campaign()
    broken = sa.exc.OperationalError("campaign", {}, ConnectionRefusedError())
    sa.event.listen(store.database.write, "begin", lambda *_: (_ for _ in ()).throw(broken))
    with pytest.raises(DatabaseFailed):
        leader.campaign()
    assert leader.term == 1


def test_who_resigns_is_followed_at_once(store: Store) -> None:
    clock = Monotonic()
    first, second = candidate(store, clock), candidate(store, clock)
    first.campaign()
    first.resign()
    assert first.term is None
    assert second.campaign() == 2


def test_to_resign_without_the_lead_takes_it_from_nobody(store: Store) -> None:
    clock = Monotonic()
    first, second = candidate(store, clock), candidate(store, clock)
    first.campaign()
    second.resign()
    assert second.campaign() is None
    assert first.campaign() == 1
