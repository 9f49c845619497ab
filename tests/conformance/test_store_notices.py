"""What a settling statement tells: with its commit, to whoever listens, and only if it changed something."""

from contextlib import closing

import pytest

from synthralos.bus.build import build_bus
from synthralos.bus.protocol import Topic
from synthralos.domain.states import Transition
from synthralos.domain.writes import Settlement, Written
from synthralos.store.sql.database import Database
from synthralos.store.sql.notices import Notice
from tests.fakes.jobs import attempt_end, settlement
from tests.fakes.stores import Store


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("transition", [Transition.SUCCEED, Transition.PARK])
def test_what_is_written_is_told_with_it_and_what_is_not_is_not(
    store: Store, database: Database, transition: Transition
) -> None:
    job = store.started()
    ending = settlement(job, transition, attempt=attempt_end(1))
    with closing(database.connect("-test")) as listening:
        listening.execute('LISTEN "heard"')
        assert store.settlements.settle([ending], [Notice("heard", "written")]) == [Written.DONE]
        assert store.settlements.settle([ending], [Notice("heard", "not written")]) == [Written.CLAIM_LOST]
        listening.execute("SELECT pg_notify('heard', 'the end')")
        heard = [message.payload for message in listening.notifies(timeout=10, stop_after=2)]
    assert heard == ["written", "the end"]


def test_a_bus_that_is_not_the_database_s_leaves_nothing_to_the_statement(store: Store, database: Database) -> None:
    with closing(build_bus(database)) as bus:
        notices = bus.notices(Topic.FINISHED, ["a", "b"])
    assert notices == ([] if database.dialect == "sqlite" else [Notice(str(Topic.FINISHED), "a,b")])
    ending: Settlement = settlement(store.started(), attempt=attempt_end(1))
    assert store.settlements.settle([ending], notices) == [Written.DONE]
