"""What the bus promises: all processes hear what one publishes, and after a gap everybody looks for themselves."""

import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import psycopg
import pytest

from synthralos.bus.build import build_bus
from synthralos.bus.protocol import Bus, Listener, Topic
from synthralos.domain.ids import new_id
from synthralos.store.sql.database import Database

Build = Callable[[], Bus]


@pytest.fixture
def build(database: Database) -> Iterator[Build]:
    """Buses on one database, each with connections of its own on PostgreSQL; one for all on SQLite."""
    with ExitStack() as stack:
        url = database.url.render_as_string(hide_password=False)
        shared: list[Bus] = []

        def make() -> Bus:
            if shared and database.dialect == "sqlite":
                return shared[0]
            own = stack.enter_context(closing(Database(url)))
            shared.append(stack.enter_context(closing(build_bus(own))))
            return shared[-1]

        yield make


def ear() -> "tuple[queue.Queue[list[str] | None], Listener]":
    heard: queue.Queue[list[str] | None] = queue.Queue()
    return heard, lambda ids: heard.put(None if ids is None else list(ids))


def next_ids(heard: "queue.Queue[list[str] | None]") -> list[str]:
    """The next ids that are heard; calls to look at everything are passed over."""
    while (ids := heard.get(timeout=30)) is None:
        pass
    return ids


def test_every_listener_hears_what_is_published(build: Build) -> None:
    mine, other = build(), build()
    heard_here, heard_there = (ear() for _ in range(2))
    mine.subscribe(Topic.CHANGED, heard_here[1])
    other.subscribe(Topic.CHANGED, heard_there[1])
    ids = [new_id(), new_id()]
    mine.publish(Topic.CHANGED, ids)
    assert next_ids(heard_here[0]) == next_ids(heard_there[0]) == ids


def test_each_topic_has_its_own_listeners(build: Build) -> None:
    bus = build()
    changed, taken = ear(), ear()
    bus.subscribe(Topic.CHANGED, changed[1])
    bus.subscribe(Topic.CLAIM_REVOKED, taken[1])
    one, two = new_id(), new_id()
    bus.publish(Topic.CLAIM_REVOKED, [one])
    bus.publish(Topic.CHANGED, [two])
    assert next_ids(taken[0]) == [one]
    assert next_ids(changed[0]) == [two]


def test_a_thousand_ids_arrive_whole(build: Build) -> None:
    bus, (heard, listener) = build(), ear()
    bus.subscribe(Topic.CHANGED, listener)
    ids = [new_id() for _ in range(1000)]
    bus.publish(Topic.CHANGED, ids)
    arrived: list[str] = []
    while len(arrived) < len(ids):
        arrived += next_ids(heard)
    assert arrived == ids


def test_nothing_published_is_nothing_heard(build: Build) -> None:
    bus, (heard, listener) = build(), ear()
    bus.subscribe(Topic.CHANGED, listener)
    bus.publish(Topic.CHANGED, [])
    last = [new_id()]
    bus.publish(Topic.CHANGED, last)
    assert next_ids(heard) == last


def test_a_bus_that_nobody_listens_to_can_be_closed_twice(build: Build) -> None:
    bus = build()
    bus.publish(Topic.CHANGED, [new_id()])
    bus.close()
    bus.close()


@pytest.fixture
def postgres(postgres_database: str) -> Iterator[Database]:
    with closing(Database(postgres_database)) as database:
        yield database


def test_what_another_process_publishes_is_heard(postgres: Database) -> None:
    (heard, listener), job_id = ear(), new_id()
    with closing(build_bus(postgres)) as bus:
        bus.subscribe(Topic.CLAIM_REVOKED, listener)
        code = """
import sys
from synthralos.bus.build import build_bus
from synthralos.bus.protocol import Topic
from synthralos.store.sql.database import Database
build_bus(Database(sys.argv[1])).publish(Topic.CLAIM_REVOKED, [sys.argv[2]])
"""
        url = postgres.url.render_as_string(hide_password=False)
        subprocess.run([sys.executable, "-c", code, url, job_id], check=True)
        assert next_ids(heard) == [job_id]


def test_a_lost_connection_is_made_again_and_everybody_looks_for_themselves(postgres: Database) -> None:
    heard, listener = ear()
    with closing(build_bus(postgres)) as bus:
        bus.subscribe(Topic.CHANGED, listener)
        first = [new_id()]
        bus.publish(Topic.CHANGED, first)
        assert next_ids(heard) == first
        for _ in range(2):
            hang_up(postgres)
            assert heard.get(timeout=30) is None
            again = [new_id()]
            bus.publish(Topic.CHANGED, again)
            assert next_ids(heard) == again


def hang_up(database: Database) -> None:
    """Terminate the bus's connections from the server's side."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'synthralos-bus'"
        ).fetchall()
    assert ended == [(True,)]


def test_a_listener_that_comes_later_hears_from_then_on(postgres: Database) -> None:
    changed, taken = ear(), ear()
    with closing(build_bus(postgres)) as bus:
        bus.subscribe(Topic.CHANGED, changed[1])
        bus.publish(Topic.CHANGED, [new_id()])
        next_ids(changed[0])
        bus.subscribe(Topic.CLAIM_REVOKED, taken[1])
        job_id = new_id()
        bus.publish(Topic.CLAIM_REVOKED, [job_id])
        assert next_ids(taken[0]) == [job_id]


def test_publishing_without_a_database_is_no_trouble() -> None:
    with closing(Database("postgresql://nobody@127.0.0.1:1/none")) as nowhere, closing(build_bus(nowhere)) as bus:
        bus.publish(Topic.CHANGED, [new_id()])
