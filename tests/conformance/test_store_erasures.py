"""Erasure: of a person or a tenant nothing is left but what it cost, under a name that leads to nobody."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import redis
import sqlalchemy as sa

from migrations.runner import upgrade
from scheduler.erasing import ErasureRunner
from synthralos.bus.memory import MemoryBus
from synthralos.control.operator import Operator
from synthralos.domain.deltas import Chunk, Place
from synthralos.domain.erasures import OpenJobs
from synthralos.domain.jobs import Tenant
from synthralos.domain.scope import Scope
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.queue.idempotency import KeyReusedError, MadeBeforeError
from synthralos.store.queue.operations import Operations
from synthralos.store.retention.removal import gather, remove_jobs
from synthralos.store.sql.database import Database
from synthralos.store.tables import (
    jobs,
    results,
)
from synthralos.streams.redis import RedisStreams
from tests.fakes.canaries import CANARY, NEIGHBOR, PERSON, STRANGER, Canaries
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import new_job, settlement
from tests.fakes.keyed import once


@pytest.fixture
def place(database: Database) -> Canaries:
    return Canaries(database)


@pytest.mark.parametrize("most", [1, 500])
def test_nothing_of_a_person_is_left_anywhere_and_the_books_add_up(place: Canaries, most: int) -> None:
    job_ids = place.plant()
    kept = place.job(NEIGHBOR, word="neighbor")
    place.sum_up()
    assert len(place.found()) > 12
    before = place.spent()
    done = place.erase(Scope("acme", None, PERSON.user), most=most)
    assert place.found() == {}
    assert (done.state, done.scope.user, done.step) == ("done", done.pseudonym, None)
    assert done.counts["jobs"] == 2
    assert place.spent() == before
    assert place.streams.after({job_ids[0]: Place(0, 0)}) == {job_ids[0]: []}
    assert place.store.view(kept)["result"] == {"text": "hello neighbor"}
    with place.database.snapshot() as connection:
        users = set(connection.execute(sa.text("SELECT DISTINCT user_id FROM job_accounts")).scalars())
        summed = set(connection.execute(sa.text("SELECT DISTINCT user_id FROM cost_sums")).scalars())
    assert users == {done.pseudonym}
    assert summed == {done.pseudonym, "bob"}


def test_of_a_tenant_everything_goes_and_its_users_stay_apart_on_the_books(place: Canaries) -> None:
    place.plant()
    place.job(NEIGHBOR)
    place.sum_up()
    before = place.spent()
    done = place.erase(Scope("acme"))
    left = place.found()
    assert left == {"api_keys": 1}
    assert done.counts["jobs"] == 3
    with place.database.snapshot() as connection:
        users = list(connection.execute(sa.text("SELECT DISTINCT user_id FROM job_accounts")).scalars())
    assert len(users) == 2
    assert all(user.startswith("erased-") for user in users)
    assert place.spent() == before


def test_of_a_workspace_another_is_left_alone(place: Canaries) -> None:
    place.plant()
    other = place.job(Tenant("acme", "side", "ann"), word="other")
    place.erase(Scope("acme", "main"))
    assert set(place.found()) <= {"api_keys", "happenings", "audit_log"}
    assert place.store.view(other)["request"]["body"]


def test_the_same_person_of_another_organization_is_another_person(place: Canaries) -> None:
    place.plant(STRANGER)
    before = place.found()
    place.erase(Scope("acme", None, PERSON.user))
    assert place.found() == before


def test_what_came_after_an_erasure_was_made_is_none_of_it(place: Canaries) -> None:
    made = place.erasures.create(Scope("acme", None, PERSON.user), OpenJobs.WAIT, By("operator"))
    later = place.job(PERSON)
    while place.erasures.step(made.id, 10):
        pass
    assert place.store.view(later)["request"]["body"]


def test_what_retention_left_on_the_books_is_erased_too(place: Canaries) -> None:

    [good, bad] = place.plant()
    place.sum_up()
    with place.database.transaction() as connection:
        chosen = sa.select(results.c.job_id).where(results.c.job_id.in_([good, bad]))
        remove_jobs(connection, gather(connection, chosen), None)
    place.erase(Scope("acme", None, PERSON.user), most=1)
    assert set(place.found()) <= {"error_sums", "idempotency_keys"}


def test_what_keeps_something_elsewhere_is_told_or_nothing_is_done(place: Canaries) -> None:
    [good, bad] = place.plant()
    told: list[str] = []

    def away(job_ids: Sequence[str]) -> None:
        raise ConnectionError

    made = place.erasures.create(Scope("acme", None, PERSON.user), OpenJobs.WAIT, By("operator"))
    while (found := place.erasures.get(made.id, None)) is not None and found.step != "jobs":
        place.erasures.step(made.id, 500)
    with pytest.raises(ConnectionError):
        place.erasures.step(made.id, 500, away)
    assert len(place.store.rows(jobs)) == 2
    while place.erasures.step(made.id, 500, told.extend):
        pass
    assert sorted(told) == sorted([good, bad])


def test_an_erasure_is_made_once_for_a_key(place: Canaries) -> None:
    scope = Scope("acme", None, "ann")
    first = place.erasures.create(scope, OpenJobs.WAIT, once("f"))
    with pytest.raises(MadeBeforeError) as before:
        place.erasures.create(scope, OpenJobs.WAIT, once("f"))
    assert before.value.made == first.id
    with pytest.raises(KeyReusedError):
        place.erasures.create(scope, OpenJobs.WAIT, once("other"))
    assert place.erasures.page("acme", 10) == [first]


def test_no_file_of_sqlite_holds_anything_of_a_person(sqlite_database: str) -> None:
    with closing(Database(sqlite_database)) as database:
        upgrade(database)
        place = Canaries(database)
        place.plant()
        place.sum_up()
        files = [Path(f"{database.url.database}{suffix}") for suffix in ("", "-wal", "-shm")]
        assert any(CANARY.encode() in each.read_bytes() for each in files)
        place.erase(Scope("acme", None, PERSON.user))
        assert [each.name for each in files if each.exists() and CANARY.encode() in each.read_bytes()] == []


@pytest.fixture
def runner(place: Canaries) -> ErasureRunner:
    operator = Operator(Operations(place.database), RecordingDoorbell(), MemoryBus())
    return ErasureRunner(place.database, operator, [place.streams.forget], 1.0, lambda: True)


def until(act: Callable[[], object], over: Callable[[], bool]) -> None:
    for _ in range(200):
        act()
        if over():
            return
    raise AssertionError("it does not end")


def test_open_jobs_are_cancelled_first(place: Canaries, runner: ErasureRunner) -> None:
    place.plant()
    place.store.submit(new_job(CANARY, tenant=PERSON))
    place.erasures.create(Scope("acme", None, PERSON.user), OpenJobs.CANCEL, By("operator"))
    until(runner.round, lambda: not place.erasures.running())
    assert place.found() == {}


def test_an_erasure_that_may_not_cancel_waits_and_says_so(place: Canaries, runner: ErasureRunner) -> None:
    [job_id] = place.store.submit(new_job(CANARY, tenant=PERSON))
    made = place.erasures.create(Scope("acme", None, PERSON.user), OpenJobs.WAIT, By("operator"))
    runner.round()
    waiting = place.erasures.get(made.id, "acme")
    assert waiting is not None
    assert waiting.state == "waiting"
    [job] = place.store.claim([job_id])
    place.store.settle(settlement(job, Transition.CANCEL, analyzed=True))
    until(runner.round, lambda: not place.erasures.running())
    assert place.found() == {}


def test_chunks_in_redis_are_forgotten(redis_server_url: str, redis_prefix: str) -> None:
    url, prefix = redis_server_url, redis_prefix
    streams = RedisStreams(url, prefix)
    streams.append([Chunk("a" * 36, Place(1, 1), "d", CANARY), Chunk("b" * 36, Place(1, 1), "d", "other")])
    streams.forget(["a" * 36])
    with redis.Redis.from_url(url) as client:
        keys = [key.decode() for key in client.scan_iter(f"{prefix}*")]
    streams.close()
    assert [key for key in keys if "chunks:" in key] == [f"{prefix}chunks:{'b' * 36}"]
