"""The feed: one order over all sources, nothing skipped when transactions commit out of order, bounded reads."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.domain.breakers import BreakerState
from synthralos.domain.feed import Cursor, Item, Page, Place, Wanted, end_id
from synthralos.domain.happenings import BreakerOpened, Happening
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Constraints, Tenant
from synthralos.domain.observing import LATE
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.audit import By
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.thoughts import Thoughts
from synthralos.store.read.feed import Feed
from synthralos.store.retention.digest import Digest
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in, utcnow
from synthralos.store.tables import event_logs, happenings, jobs
from tests.fakes.feeds import BEGINNING, everything, settle
from tests.fakes.jobs import attempt_end, new_job, settlement
from tests.fakes.stores import Store

OTHER = Tenant("other", "side", None)


@pytest.fixture
def feed(database: Database) -> Feed:
    return Feed(database)


def opened(name: str, organization: str | None = None) -> Happening:
    told = BreakerOpened(name=name, before=BreakerState.CLOSED, reason="5 failures")
    return Happening.of(told, name, "system", organization)


def log(connection: sa.Connection, job_id: str, number: int) -> None:
    row = {"id": new_id(), "job_id": job_id, "organization": "acme", "kind": "thought", "actor": "ann"}
    connection.execute(sa.insert(event_logs).values(**row, data={"text": str(number)}, at=utcnow()))


def finished(store: Store, seconds_ago: float = 60.0, **job: Any) -> str:
    begun = store.started(new_job(**job))
    store.settle(settlement(begun, attempt=attempt_end(1), result={"text": "Paris"}, analyzed=True))
    store.backdate(begun.id, finished_at=seconds_ago, created_at=seconds_ago + 2)
    return begun.id


def texts(items: list[Item]) -> list[str]:
    return [item.data["text"] for item in items if item.type == "job.thought"]


def test_all_sources_are_told_in_one_form_and_in_order(store: Store, feed: Feed) -> None:
    job_id = finished(store, run_id="night-1")
    Digest(store.database).finish()
    Thoughts(store.database).add(job_id, EVERYTHING, By("ann"), "hm")
    with store.database.transaction() as connection:
        tell(connection, [opened("small"), opened("large")])
    found = everything(feed)
    assert [item.type for item in found] == ["job.succeeded", "job.thought", "breaker.opened", "breaker.opened"]
    end, thought, breaker, _ = found
    finished_at = store.job(job_id)["finished_at"]
    assert end.id == end_id(job_id, finished_at)
    assert (end.job_id, end.run_id, end.workspace, end.at) == (job_id, "night-1", "main", finished_at)
    assert end.data["cost"] == {"usd": "0.0004425", "known": True}
    assert (thought.actor, thought.data, thought.organization) == ("ann", {"text": "hm"}, "acme")
    assert (breaker.subject, breaker.organization, breaker.job_id) == ("small", None, None)
    assert set(end.to_json()) == set(breaker.to_json())


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
def test_small_pages_come_to_the_same(store: Store, feed: Feed, limit: int) -> None:
    job_id = finished(store)
    finished(store)
    Digest(store.database).finish()
    for number in range(4):
        with store.database.transaction() as connection:
            log(connection, job_id, number)
            tell(connection, [opened(str(number))])
    whole = everything(feed)
    assert len(whole) == 10
    assert [item.id for item in everything(feed, limit=limit)] == [item.id for item in whole]
    for place, item in enumerate(whole):
        assert [each.id for each in everything(feed, item.cursor)] == [each.id for each in whole[place + 1 :]]


def test_what_is_read_ends_where_it_is_told_to(store: Store, feed: Feed) -> None:
    job_id = finished(store)
    for number in range(3):
        with store.database.transaction() as connection:
            log(connection, job_id, number)
        if number == 1:
            settle(store.database)
            until = feed.head()
    settle(store.database)
    page = feed.since(BEGINNING, until=until)
    assert (texts(page.items), page.cursor, page.more) == (["0", "1"], until, False)
    assert texts(feed.since(until).items) == ["2"]
    assert feed.since(until, until=until) == Page([], until, more=False)


def test_an_organization_reads_its_own_alone(store: Store, feed: Feed) -> None:
    mine, theirs = finished(store), finished(store, tenant=OTHER)
    Digest(store.database).finish()
    with store.database.transaction() as connection:
        tell(connection, [opened("all"), opened("mine", "acme"), opened("theirs", "other")])
    found = everything(feed, organization="acme")
    assert [item.job_id or item.subject for item in found] == [mine, "mine"]
    assert theirs in {item.job_id for item in everything(feed)}


def test_a_scope_decides_what_is_seen(store: Store, feed: Feed) -> None:
    ann = finished(store)
    bob = finished(store, tenant=Tenant("acme", "lab", "bob"))
    Digest(store.database).finish()
    with store.database.transaction() as connection:
        tell(connection, [opened("all"), opened("mine", "acme")])
    found = everything(feed)

    def seen(scope: Scope, **more: Any) -> set[str | None]:
        wanted = Wanted(scope, **more)
        return {item.job_id or item.subject for item in found if wanted.admits(item)}

    assert seen(EVERYTHING, installation=True) == {ann, bob, "all", "mine"}
    assert seen(EVERYTHING) == seen(Scope("acme")) == seen(Scope("acme"), installation=True) == {ann, bob, "mine"}
    assert seen(Scope("acme", "lab")) == seen(Scope("acme", None, "bob")) == {bob}
    assert seen(Scope("other")) == set()
    assert seen(EVERYTHING, types=frozenset({"job.*"})) == {ann, bob}
    assert seen(EVERYTHING, types=frozenset({"breaker.opened"})) == {"mine"}
    assert seen(EVERYTHING, job_id=ann) == {ann}


def test_the_class_of_a_jobs_data_is_known_and_unknown_where_the_job_is_gone(store: Store, feed: Feed) -> None:
    eu, plain = finished(store, constraints=Constraints(classification="eu")), finished(store)
    Digest(store.database).finish()
    for job_id in (eu, plain, new_id()):
        with store.database.transaction() as connection:
            log(connection, job_id, 1)
    classes = [item.classification for item in everything(feed)]
    assert sorted(classes, key=str) == [None, None, "eu", "eu", "unknown"]


def test_a_moment_is_found_again(store: Store, feed: Feed) -> None:
    job_id = finished(store)
    for number in range(40):
        with store.database.transaction() as connection:
            log(connection, job_id, number)
            age = utc_in(sa.literal(-3600.0 * (40 - number)))
            newest = sa.select(sa.func.max(event_logs.c.commit_no)).scalar_subquery()
            connection.execute(sa.update(event_logs).where(event_logs.c.commit_no == newest).values(at=age))
    with store.database.snapshot() as connection:
        now = connection.execute(sa.select(utcnow())).scalar_one()
    found = everything(feed, feed.at(now - timedelta(hours=10.5)))
    assert texts(found) == [str(number) for number in range(30, 40)]
    assert everything(feed, feed.at(now + timedelta(hours=1))) == []
    assert len(everything(feed, feed.at(now - timedelta(days=365)))) == 40


def test_a_job_that_ends_again_is_told_again(store: Store, feed: Feed) -> None:
    job_id = finished(store)
    digest = Digest(store.database)
    digest.finish()
    first = feed.head()
    store.backdate(job_id, finished_at=45)
    while digest.round(LATE):
        pass
    [again] = everything(feed, first)
    assert again.job_id == job_id
    assert again.id != end_id(job_id, store.job(job_id)["created_at"])


def test_a_reader_never_goes_back_when_what_can_be_read_does(store: Store, feed: Feed) -> None:
    job_id = finished(store)
    before = feed.head()
    with store.database.transaction() as connection:
        log(connection, job_id, 1)
    Digest(store.database).finish()
    [*_, last] = everything(feed)
    assert feed.since(last.cursor, until=before).cursor[1:] == last.cursor[1:]
    assert everything(feed, feed.since(last.cursor, until=before).cursor) == []


def test_a_cursor_of_another_database_leads_on_from_now(store: Store, feed: Feed) -> None:
    job_id = finished(store)
    foreign = Cursor(feed.head().at, Place(2**50, new_id()), Place(2**50, new_id()), Place(2**50))
    page = feed.since(foreign)
    assert (page.items, page.more) == ([], False)
    with store.database.transaction() as connection:
        log(connection, job_id, 1)
    assert texts(everything(feed, page.cursor)) == ["1"]


def test_numbers_go_on_after_the_newest_rows_were_deleted(store: Store, feed: Feed) -> None:
    job_id = finished(store)
    with store.database.transaction() as connection:
        log(connection, job_id, 1)
    settle(store.database)
    head = feed.head()
    with store.database.transaction() as connection:
        connection.execute(sa.delete(event_logs))
    if store.database.dialect == "sqlite":
        with store.database.read.connect() as connection:
            connection.exec_driver_sql("VACUUM")
    with store.database.transaction() as connection:
        log(connection, job_id, 2)
    assert texts(everything(feed, head)) == ["2"]


def test_rows_from_before_the_feed_are_no_part_of_it(store: Store, feed: Feed) -> None:
    with store.database.transaction() as connection:
        log(connection, new_id(), 1)
        connection.execute(sa.update(event_logs).values(commit_no=None))
        tell(connection, [opened("small")])
        connection.execute(sa.update(happenings).values(commit_no=None))
    assert everything(feed) == []
    assert feed.head().events == Place()


def test_a_cursor_survives_its_form_and_nothing_else_is_one() -> None:
    cursor = Cursor(
        datetime(2026, 11, 27, 13, 5, 1, 123_456, UTC), Place(7, new_id()), Place(2**40, new_id()), Place(9)
    )
    text = cursor.encode()
    assert Cursor.decode(text) == cursor
    rng = random.Random(7)
    for wrong in ("", "x", text[:-1], text + "A", "ä" * 40, "B" + text[1:], "//" + text[2:]):
        with pytest.raises(ValueError, match="cursor"):
            Cursor.decode(wrong)
    for _ in range(200):
        place = rng.randrange(len(text))
        changed = text[:place] + rng.choice("AZaz09-_") + text[place + 1 :]
        try:
            Cursor.decode(changed)
        except ValueError as error:
            assert "cursor" in str(error)  # noqa: PT017 - either it is one, or it says that it is none


@pytest.fixture
def postgres(_migrated_postgres: Database) -> Any:
    with closing(Database(_migrated_postgres.url.render_as_string(hide_password=False))) as database:
        with database.transaction() as connection:
            for table in (event_logs, happenings, jobs):
                connection.execute(table.delete())
        yield database


def test_nothing_is_skipped_when_transactions_commit_out_of_order(postgres: Database) -> None:
    """Transactions stay open beside one another and commit in any order; a reader goes on after each commit."""
    feed, rng, found, job_id = Feed(postgres), random.Random(11), [], new_id()
    cursor, begun = feed.head(), 0
    with ExitStack() as stack:
        connections = [stack.enter_context(postgres.write.connect()) for _ in range(4)]
        still_open: dict[int, sa.Transaction] = {}
        for step in range(300):
            place = rng.randrange(len(connections))
            if place not in still_open:
                still_open[place] = connections[place].begin()
                begun += 1
                log(connections[place], job_id, begun)
            elif rng.random() < 0.5:
                log(connections[place], job_id, begun := begun + 1)
            else:
                still_open.pop(place).commit()
            page = feed.since(cursor, limit=rng.choice((1, 3, 1_000)))
            found += page.items
            cursor = page.cursor
            assert step or not found
        for transaction in still_open.values():
            transaction.commit()
    found += everything(feed, cursor)
    assert sorted(map(int, texts(found))) == list(range(1, begun + 1))
    assert len({item.id for item in found}) == begun


def test_transactions_of_other_databases_hold_nothing_up(postgres: Database, postgres_database: str) -> None:
    feed = Feed(postgres)
    cursor = feed.head()
    with closing(Database(postgres_database)) as elsewhere, elsewhere.write.begin() as connection:
        connection.exec_driver_sql("SELECT pg_current_xact_id()")
        with postgres.transaction() as own:
            log(own, new_id(), 1)
        assert texts(everything(feed, cursor)) == ["1"]


def test_many_writers_at_once_lose_nothing_and_repeat_nothing(postgres: Database) -> None:
    feed, job_id = Feed(postgres), new_id()
    cursor = feed.head()

    def write(writer: int) -> None:
        for number in range(40):
            with postgres.transaction() as connection:
                log(connection, job_id, writer * 40 + number)
                tell(connection, [opened(str(number))])

    found: list[Item] = []
    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, writer) for writer in range(4)]
        while not all(each.done() for each in writing):
            page = feed.since(cursor, limit=25)
            found += page.items
            cursor = page.cursor
    for each in writing:
        each.result()
    found += everything(feed, cursor)
    assert sorted(map(int, texts(found))) == list(range(160))
    assert len(found) == 320
    assert [item.id for item in found] == list(dict.fromkeys(item.id for item in found))


def test_an_item_can_be_stored_and_read_again() -> None:
    item = Item(new_id(), "job.healed", datetime.now(UTC), "acme", "system", {"a": 1}, job_id=new_id())
    from synthralos.domain.feed import item_of

    assert item_of({**item.to_json(), "classification": "eu"}) == replace(
        item, classification="eu", cursor=Item("", "", item.at, None, "", {}).cursor
    )
