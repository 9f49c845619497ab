"""Erasure: of a person or a tenant nothing is left but what it cost, under a name that leads to nobody."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from scheduler.erasing import ErasureRunner
from synthralos.bus.memory import MemoryBus
from synthralos.control.operator import Operator
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.deltas import Chunk, Place
from synthralos.domain.erasures import Erasure, OpenJobs
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.admin.keys import Keys
from synthralos.store.queue.operations import Operations
from synthralos.store.queue.submissions import Idempotency, KeyReused
from synthralos.store.queue.thoughts import Thoughts
from synthralos.store.read import cost_parts
from synthralos.store.retention.cost_sums import CostSums
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.erasures import Erasures
from synthralos.store.retention.removal import gather, remove_jobs
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database
from synthralos.store.tables import (
    bulk_operations,
    deliveries,
    export_set_aside,
    feedback,
    happenings,
    jobs,
    prompt_similarity_logs,
    repairs,
    results,
    run_forks,
    schedules,
    stream_chunks,
    waits,
)
from synthralos.streams.memory import MemoryStreams
from synthralos.streams.redis import RedisStreams
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import attempt_end, failure, new_job, settlement, start, submission
from tests.fakes.stores import Store

CANARY = "kanarienvogel"
PERSON = Tenant("acme", "main", f"{CANARY}-user")
NEIGHBOR = Tenant("acme", "main", "bob")
STRANGER = Tenant("other", "main", f"{CANARY}-user")


class Canaries:
    """A store in which canaries of a person are planted."""

    def __init__(self, database: Database) -> None:
        self.database, self.store = database, Store(database, ["one"])
        self.erasures = Erasures(database)
        self.streams = MemoryStreams()

    def job(self, tenant: Tenant, *, failed: bool = False, key: str | None = None, word: str = CANARY) -> str:
        """A finished job that says the word everywhere a job may say anything."""
        made = new_job(f"my name is {word}", tenant=tenant, metadata={"tag": word}, run_id=f"{word}-run")
        self.store.submissions.accept([submission(made, key=key)])
        [job] = self.store.claim([made.id])

        self.store.settlements.start([start(job, reserved=Decimal("0.001"))])
        job.attempts += 1
        if failed:
            said = {**failure().to_json(), "message": f"no {word} here"}
            end = attempt_end(1, Outcome.FAILED, billed=Billed.NO, usage=None, cost=None)
            self.store.settle(settlement(job, Transition.FAIL, attempt=end, failure=said, analyzed=True))
        else:
            self.store.settle(settlement(job, attempt=attempt_end(1), result={"text": f"hello {word}"}, analyzed=True))
        self.store.backdate(made.id, finished_at=60)
        return made.id

    def plant(self, tenant: Tenant = PERSON) -> list[str]:
        """Canaries in every table that may hold what people say."""
        good, bad = self.job(tenant, key=f"{CANARY}-key"), self.job(tenant, failed=True)
        Thoughts(self.database).add(good, EVERYTHING, "agent", f"{CANARY} thinks", Idempotency(f"{CANARY}-2", "f"))
        now, owner = self.store.now(), {"organization": tenant.organization, "workspace": tenant.workspace}
        mine = {**owner, "user_id": tenant.user}
        rows: list[tuple[sa.Table, dict[str, Any]]] = [
            (feedback, {"job_id": good, "source": "p", "label": "x", "comment": CANARY, "created_by": "y", "at": now}),
            (
                waits,
                {
                    "id": new_id(), **mine, "job_id": good, "kind": "approval", "name": "x", "prompt": CANARY,
                    "state": "answered", "answer": {"said": CANARY}, "grants": [], "comment": CANARY,
                    "opened_at": now, "deadline": now,
                },
            ),
            (
                prompt_similarity_logs,
                {
                    "job_id": good, **mine, "trace_id": CANARY, "fingerprint": CANARY, "request_key": "k",
                    "embedder": "e", "vector": CANARY, "at": now,
                },
            ),
            (stream_chunks, {"job_id": good, "attempt_no": 1, "number": 1, "chunk": {"text": CANARY}}),
            (
                schedules,
                {
                    "id": new_id(), **mine, "name": CANARY, "owner": CANARY, "document": {"job": {"prompt": CANARY}},
                    "version": 1, "revision": 1, "paused": False, "pause_note": "", "failures": 0, "created_at": now,
                    "changed_at": now, "changed_by": "x",
                },
            ),
            (
                run_forks,
                {
                    "organization": tenant.organization, "run_id": f"{CANARY}-f", "workspace": "main",
                    "user_id": tenant.user, "parent": CANARY, "from_step": "a", "kept": [], "differs": [CANARY],
                    "fingerprint": "f", "created_at": now, "created_by": "x",
                },
            ),
            (
                happenings,
                {
                    "id": new_id(), "organization": tenant.organization, "kind": "budget.reached",
                    "subject": f"acme/{tenant.user}", "actor": "x", "data": {"subject": tenant.user}, "at": now,
                },
            ),
            (
                bulk_operations,
                {
                    "id": new_id(), **mine, "name": CANARY, "act": "retry", "filter": {"user": tenant.user},
                    "state": "done", "done": 0, "created_by": "x", "reason": CANARY, "created_at": now,
                    "changed_at": now, "finished_at": now,
                },
            ),
            (
                repairs,
                {
                    "id": new_id(), **mine, "job_id": good, "subject": f"job:{good}", "kind": "retry", "workflow": "w",
                    "parameters": {"said": CANARY}, "reason": CANARY, "failure_class": "internal", "state": "failed",
                    "asked_by": "heal", "asked_at": now, "until": now, "outcome": CANARY, "result": {"said": CANARY},
                },
            ),
            (
                deliveries,
                {
                    "id": new_id(), "channel": "webhook", "target_id": new_id(), "event_id": new_id(), "type": "t",
                    "event": {"organization": tenant.organization, "workspace": "main", "user": tenant.user,
                              "data": {"text": CANARY}},
                    "state": "delivered", "tries": 1, "since": now, "answer": CANARY,
                },
            ),
            (
                export_set_aside,
                {
                    "destination": "one", "job_id": good, "kind": "refused", "reason": CANARY, "tries": 1,
                    "since": now, "at": now,
                },
            ),
        ]  # fmt: skip
        with self.database.transaction() as connection:
            for table, row in rows:
                connection.execute(sa.insert(table).values(row))
        Keys(self.database).create(CANARY, Role.SERVICE, Scope(tenant.organization, tenant.workspace, tenant.user))
        self.store.operations.retry(bad, EVERYTHING, "operator", f"because of {CANARY}")
        [again] = self.store.claim([bad])
        self.store.settle(settlement(again, Transition.CANCEL, analyzed=True))
        self.streams.append([Chunk(good, Place(1, 1), "d", CANARY)])
        return [good, bad]

    def sum_up(self) -> None:
        """Have everything digested and summed."""
        digest = Digest(self.database)
        digest.finish()
        TextIndex(self.database).finish()
        hour = self.store.now().replace(minute=0, second=0, microsecond=0)
        CostSums(self.database).sum("hour", hour)

    def erase(self, scope: Scope, open_jobs: OpenJobs = OpenJobs.CANCEL, most: int = 500) -> Erasure:
        """An erasure, done."""
        made = self.erasures.create(scope, open_jobs, By("operator", "asked for"))
        assert not isinstance(made, KeyReused)
        while self.erasures.step(made.id, most, self.streams.forget):
            pass
        done = self.erasures.get(made.id, None)
        assert done is not None
        return done

    def found(self, word: str = CANARY) -> dict[str, int]:
        """In which tables a word stands, in however many rows; and in the streams."""
        names = sa.inspect(self.database.write).get_table_names()
        places: dict[str, int] = {}
        with self.database.snapshot() as connection:
            for name in names:
                rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()
                count = sum(word in str(tuple(row)) for row in rows)
                if count:
                    places[name] = count
        return places

    def spent(self) -> Decimal:
        """All that the books say."""
        with self.database.report() as connection:
            parts = [*cost_parts.ledger(), cost_parts.sums("hour")]
            return sum((row.cost_picousd for part in parts for row in connection.execute(part)), Decimal(0))


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
    assert not isinstance(made, KeyReused)
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
    assert not isinstance(made, KeyReused)
    while (found := place.erasures.get(made.id, None)) is not None and found.step != "jobs":
        place.erasures.step(made.id, 500)
    with pytest.raises(ConnectionError):
        place.erasures.step(made.id, 500, away)
    assert len(place.store.rows(jobs)) == 2
    while place.erasures.step(made.id, 500, told.extend):
        pass
    assert sorted(told) == sorted([good, bad])


def test_an_erasure_is_made_once_for_a_key(place: Canaries) -> None:
    scope, used = Scope("acme", None, "ann"), Idempotency("k", "f")
    first, second = (place.erasures.create(scope, OpenJobs.WAIT, By("operator"), used) for _ in range(2))
    assert first == second
    other = place.erasures.create(scope, OpenJobs.WAIT, By("operator"), Idempotency("k", "other"))
    assert isinstance(other, KeyReused)


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
    assert not isinstance(made, KeyReused)
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
