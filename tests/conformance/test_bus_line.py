"""The line to PostgreSQL: channels come and go while it is open, and it is made anew when it is lost."""

import queue
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from synthralos.bus.line import Hear, Line
from synthralos.domain.states import Lane, Stage
from synthralos.store.queue.submissions import Submissions
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreError
from synthralos.store.sql.notices import Notice
from tests.fakes.jobs import new_job, submission
from tests.fakes.stores import Store
from tests.fakes.tcp_proxy import TcpProxy

SECONDS = 30.0
Ear = tuple["queue.Queue[list[str] | None]", Hear]


@pytest.fixture
def postgres(postgres_database: str) -> Iterator[Database]:
    with closing(Database(postgres_database)) as database:
        yield database


@pytest.fixture
def line(postgres: Database) -> Iterator[Line]:
    with closing(Line(postgres)) as line:
        yield line


def ear() -> Ear:
    heard: queue.Queue[list[str] | None] = queue.Queue()
    return heard, heard.put


def say(database: Database, channel: str, *payloads: str) -> None:
    with closing(database.connect("-test")) as connection, connection.transaction():
        for payload in payloads:
            connection.execute("SELECT pg_notify(%s, %s)", (channel, payload))


def next_of(ear: Ear) -> list[str]:
    """What is heard next; calls to look at everything are passed over."""
    while (payloads := ear[0].get(timeout=SECONDS)) is None:
        pass
    return payloads


def test_what_is_said_in_one_transaction_is_told_in_order(line: Line, postgres: Database) -> None:
    one = ear()
    line.listen("one", one[1])
    assert line.ready(SECONDS)
    say(postgres, "one", "a", "b", "c")
    heard: list[str] = []
    while len(heard) < 3:
        heard += next_of(one)
    assert heard == ["a", "b", "c"]


def test_a_channel_that_is_left_is_heard_no_more_and_the_others_are(line: Line, postgres: Database) -> None:
    one, two = ear(), ear()
    line.listen("one", one[1])
    line.listen("two", two[1])
    assert line.ready(SECONDS)
    line.leave("one")
    assert line.ready(SECONDS)
    say(postgres, "one", "left")
    say(postgres, "two", "kept")
    assert next_of(two) == ["kept"]
    assert all(payloads is None for payloads in list(one[0].queue))


def test_two_may_listen_to_one_channel(line: Line, postgres: Database) -> None:
    first, second = ear(), ear()
    line.listen("one", first[1])
    line.listen("one", second[1])
    assert line.ready(SECONDS)
    say(postgres, "one", "both")
    assert next_of(first) == next_of(second) == ["both"]


def test_who_fails_to_hear_disturbs_nobody(line: Line, postgres: Database, caplog: pytest.LogCaptureFixture) -> None:
    def fails(payloads: list[str] | None) -> None:
        raise RuntimeError("cannot hear")

    good = ear()
    line.listen("one", fails)
    line.listen("one", good[1])
    assert line.ready(SECONDS)
    say(postgres, "one", "a")
    assert next_of(good) == ["a"]
    assert "who listens to the database failed" in caplog.text


def test_a_lost_line_is_made_anew_with_all_its_channels(postgres: Database) -> None:
    target = postgres.url
    assert target.host is not None
    with TcpProxy(target.host, target.port or 5432) as proxy:
        through = target.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        with closing(Database(through)) as far, closing(Line(far)) as line:
            one, two = ear(), ear()
            line.listen("one", one[1])
            assert line.ready(SECONDS)
            proxy.refuse()
            line.listen("two", two[1])
            assert not line.ready(SECONDS)
            proxy.restore()
            while not line.ready(SECONDS):
                pass
            say(postgres, "one", "again")
            say(postgres, "two", "new")
            assert (next_of(one), next_of(two)) == (["again"], ["new"])


def test_a_line_that_nobody_used_closes_and_one_that_is_closed_listens_to_nothing(postgres: Database) -> None:
    unused = Line(postgres)
    unused.close()
    unused.listen("one", ear()[1])
    assert not unused.ready(SECONDS)


def test_a_database_that_is_not_there_is_said_at_once() -> None:
    with closing(Database("postgresql://nobody@127.0.0.1:1/none")) as nowhere, closing(Line(nowhere)) as line:
        line.listen("one", ear()[1])
        assert not line.ready(SECONDS)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_ring_is_heard_with_the_commit_of_its_jobs_and_a_refused_one_is_not(store: Store, database: Database) -> None:
    good, bad = new_job(lane=Lane.INTERACTIVE), new_job(lane=Lane.INTERACTIVE)
    bad.metadata = {"too much": "x" * 10}
    accepting = Submissions(database)
    with closing(Line(database)) as line:
        rung = ear()
        line.listen("ring", rung[1])
        assert line.ready(SECONDS)
        bad.id = "no uuid"
        with pytest.raises((StoreError, psycopg.Error)):
            accepting.accept([submission(bad)], [Notice("ring", "refused")])
        accepting.accept([submission(good)], [Notice("ring", "accepted")])
        assert next_of(rung) == ["accepted"]
        assert (store.state(good.id), store.job(good.id)["stage"]) == ("queued", Stage.GUARD)
