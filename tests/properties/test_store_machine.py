"""Whatever is done to jobs in whatever order, the store keeps its promises.

The machine does to a real store (SQLite, and in fewer examples PostgreSQL) what workers, sweepers and operators do,
also with claims that were lost long ago, and compares each answer with a model that knows the transition table and
nothing of SQL.
"""

import shutil
import tempfile
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from migrations.runner import upgrade
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.jobs import Job, NewJob
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import TERMINAL, TRANSITIONS, Stage, State, Transition, sources
from synthralos.domain.writes import Written
from synthralos.store.queue.operations import Changed, Refused
from synthralos.store.sql.database import Database
from synthralos.store.tables import all_attempts, all_jobs, event_logs, metadata, model_cost_logs
from tests.fakes.jobs import attempt_end, new_job, settlement, start, submission
from tests.fakes.store_model import Model
from tests.fakes.stores import Store

UNHELD = [
    t for t, row in TRANSITIONS.items() if row.fenced and State.QUEUED in sources(t) and t is not Transition.START
]
"""What a worker may write about a job that it has only read."""

WORKERS_OWN = [t for t, row in TRANSITIONS.items() if row.fenced and t is not Transition.START]
MAX_LOSSES = 3

FEW = 2
"""So many workers and jobs, that they meet again and again."""


class StoreMachine(RuleBasedStateMachine):
    """Jobs, workers, and every claim that a worker ever had."""

    template: Path

    job_ids: Bundle[str] = Bundle("job_ids")
    workers: Bundle[str] = Bundle("workers")
    claims: Bundle[Job] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.database = self.empty_database()
        self.store = Store(self.database)
        self.model: dict[str, Model] = {}
        self.alive: set[str] = set()
        self.results = 0

    def empty_database(self) -> Database:
        """A copy of the template."""
        self.folder = tempfile.TemporaryDirectory()
        path = shutil.copy(self.template, self.folder.name)
        database = Database(f"sqlite:///{path}")
        for engine in (database.write, database.read):
            sa.event.listen(engine, "connect", _forget_the_disk)
        return database

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @initialize(target=workers)
    def the_first_worker(self) -> str:
        return self.worker_starts()

    @precondition(lambda self: len(self.alive) < FEW)
    @rule(target=workers)
    def worker_starts(self) -> str:
        worker = self.store.worker()
        self.alive.add(worker)
        return worker

    @precondition(lambda self: sum(model.state is not State.SUCCEEDED for model in self.model.values()) < FEW)
    @rule(target=job_ids, count=st.integers(1, 2), twice=st.booleans())
    def submit(self, count: int, twice: bool) -> Any:
        accepted: list[NewJob] = [new_job() for _ in range(count)]
        for _ in range(2 if twice else 1):
            self.store.submissions.accept([submission(*accepted)])
        self.model.update({job.id: Model() for job in accepted})
        return multiple(*[job.id for job in accepted])

    @rule(target=claims, worker=workers, near=job_ids)
    def claim(self, worker: str, near: str) -> Any:
        """A worker asks for every job, at the stage of one of them."""
        stage = Stage(self.store.job(near)["stage"])
        at_stage = {row["id"] for row in self.store.rows(all_jobs, all_jobs.c.stage == stage)}
        free = {i for i in at_stage if self.model[i].state is State.QUEUED and worker in self.alive}
        claimed = self.store.claims.claim(stage, list(self.model), worker)
        assert {job.id for job in claimed} == free
        for job in claimed:
            model = self.model[job.id]
            model.move(Transition.CLAIM)
            assert job.claim.claim_no > model.claim_no
            assert job.attempts == len(model.books)
            model.worker, model.claim_no = worker, job.claim.claim_no
        in_order = list(self.model)
        return multiple(*sorted(claimed, key=lambda job: in_order.index(job.id)))

    @rule(target=claims, worker=workers, near=job_ids, twice=st.booleans())
    def take(self, worker: str, near: str, twice: bool) -> Any:
        """A worker reads every job at a stage, perhaps for two messages; those that were lost before it claims."""
        stage = Stage(self.store.job(near)["stage"])
        taken = []
        for _ in range(2 if twice else 1):
            at_stage = {row["id"] for row in self.store.rows(all_jobs, all_jobs.c.stage == stage)}
            queued = {i for i in at_stage if self.model[i].state is State.QUEUED}
            suspects = {i for i in queued if self.model[i].losses}
            read = self.store.claims.take(stage, list(self.model), worker)
            assert {job.id for job in read if job.claim.held} == (suspects if worker in self.alive else set())
            assert {job.id for job in read if not job.claim.held} == queued - suspects
            for job in read:
                model = self.model[job.id]
                assert job.claim.claim_no == model.claim_no + 1
                if job.claim.held:
                    model.move(Transition.CLAIM)
                    model.worker, model.claim_no = worker, job.claim.claim_no
            taken += read
        in_order = list(self.model)
        return multiple(*sorted(taken, key=lambda job: in_order.index(job.id)))

    @rule(job=claims, again=st.booleans())
    def start(self, job: Job, again: bool) -> None:
        model, number = self.model[job.id], job.attempts + 1
        if Outcome.OPEN in model.books.values():
            return
        held = model.held_by(job) and job.claim.worker_id in self.alive
        for _ in range(2 if again else 1):
            assert self.store.settlements.start([start(job, number)]) == [Written.DONE if held else Written.CLAIM_LOST]
            if held:
                self.took(job, Transition.START)
        if held:
            model.books[number] = Outcome.OPEN
            job.attempts = number

    @rule(
        job=claims, transition=st.sampled_from(WORKERS_OWN), again=st.booleans(), stage=st.sampled_from(Stage),
        cost=st.one_of(st.none(), st.decimals(0, 1000, places=12)), billed=st.sampled_from(Billed),
    )  # fmt: skip
    def settle(
        self, job: Job, transition: Transition, again: bool, stage: Stage, cost: Decimal | None, billed: Billed
    ) -> None:
        """A worker, perhaps one that was lost long ago, says what became of its job and of the attempt it made."""
        model, number = self.model[job.id], job.attempts
        if not job.claim.held and transition not in UNHELD:
            return
        mine = number in model.books and self.attempt_of(job, number)
        outcome = Outcome.SUCCEEDED if transition is Transition.SUCCEED else Outcome.FAILED
        end = attempt_end(number, outcome, billed=billed, cost=cost) if mine else None
        self.results += 1
        result = {"n": self.results} if transition is Transition.SUCCEED else None
        ending = settlement(job, transition, stage=stage, attempt=end, result=result)
        held = model.held_by(job)
        assert self.store.settle(ending) == held
        if again:
            self.store.settle(ending)
        if end is not None and model.books[number] in (Outcome.OPEN, Outcome.LOST):
            model.books[number], model.costs[number] = outcome, cost
        if held:
            model.claim_no = job.claim.claim_no
            model.move(transition)
            model.result = result or model.result

    def took(self, job: Job, transition: Transition) -> None:
        """A start took the claim, if it was not held before."""
        model = self.model[job.id]
        if not job.claim.held:
            model.move(transition)
            model.worker, model.claim_no = job.claim.worker_id, job.claim.claim_no
            job.claim = job.claim.taken()

    def attempt_of(self, job: Job, number: int) -> bool:
        """Whether the attempt was begun under this very claim."""
        claim = (all_attempts.c.worker_id == job.claim.worker_id) & (all_attempts.c.claim_no == job.claim.claim_no)
        return bool(
            self.store.rows(all_attempts, all_attempts.c.job_id == job.id, all_attempts.c.attempt_no == number, claim)
        )

    @rule(job_id=job_ids, transition=st.sampled_from([Transition.CANCEL, Transition.RETRY, Transition.REROUTE]))
    def operate(self, job_id: str, transition: Transition) -> None:
        operations, model = self.store.operations, self.model[job_id]
        if transition is Transition.CANCEL:
            outcome = operations.cancel(job_id, EVERYTHING, "ann")
        elif transition is Transition.RETRY:
            outcome = operations.retry(job_id, EVERYTHING, "ann")
        else:
            outcome = operations.reroute(job_id, EVERYTHING, "ann", {})
        if model.state not in sources(transition):
            assert outcome == Refused(transition, model.state)
            return
        assert isinstance(outcome, Changed)
        if model.state is State.ACTIVE:
            model.write_off()
        model.move(transition)
        if transition is not Transition.CANCEL:
            model.claim_no, model.losses = model.claim_no + 1, 0

    @rule(worker=workers)
    def lose(self, worker: str) -> None:
        """A worker is declared lost, perhaps for the second time."""
        self.store.lose(worker)
        self.alive.discard(worker)
        self.store.sweeps.rescue()
        orphans = [i for i, m in self.model.items() if m.state is State.ACTIVE and m.worker not in self.alive]
        for job_id in orphans:
            self.rescued(self.model[job_id], State(self.store.state(job_id)))

    @staticmethod
    def rescued(model: Model, now: State) -> None:
        model.losses += 1
        model.worker = None
        model.write_off()
        assert now is State.QUEUED or (model.losses >= MAX_LOSSES and now in (State.FAILED, State.PARKED))
        model.state = now
        model.ends += now in TERMINAL

    @rule(job_id=job_ids)
    def wake(self, job_id: str) -> None:
        if self.model[job_id].state is State.PARKED:
            self.store.backdate(job_id, run_at=1)
        due = {i for i, row in self.all_jobs().items() if row["run_at"] and row["run_at"] < datetime.now(UTC)}
        assert {step.id for step in self.store.sweeps.wake_due()} == due
        for woken in due:
            self.model[woken].move(Transition.WAKE)

    @rule(job_id=job_ids)
    def expire(self, job_id: str) -> None:
        self.store.update_job(job_id, deadline=datetime.now(UTC) - timedelta(seconds=5))
        waits = self.model[job_id].state in (State.QUEUED, State.PARKED)
        assert [step.id for step in self.store.sweeps.expire()] == [job_id] * waits
        if waits:
            self.model[job_id].move(Transition.EXPIRE)
        self.store.update_job(job_id, deadline=None)

    def all_jobs(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self.store.rows(all_jobs)}

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        rows = self.all_jobs()
        assert set(rows) == set(self.model)
        for job_id, model in self.model.items():
            row = rows[job_id]
            assert row["state"] == model.state
            assert row["worker_id"] == model.worker
            assert row["claim_no"] == model.claim_no
            assert row["losses"] == model.losses
            assert row["result"] == model.result
            assert row["attempts"] == len(model.books)
            assert (row["finished_at"] is not None) == (model.state in TERMINAL)
            assert (row["run_at"] is not None) == (model.state is State.PARKED)

    @invariant()
    def every_attempt_is_on_the_books_exactly_once(self) -> None:
        booked = {(row["job_id"], row["attempt_no"]): row for row in self.store.rows(all_attempts)}
        logged = {(row["job_id"], row["attempt_no"]): row for row in self.store.rows(model_cost_logs)}
        expected = {(i, number): outcome for i, model in self.model.items() for number, outcome in model.books.items()}
        assert {key: row["outcome"] for key, row in booked.items()} == expected
        assert set(logged) == {key for key, outcome in expected.items() if outcome != Outcome.OPEN}
        for (job_id, number), line in logged.items():
            row = booked[job_id, number]
            assert line["billed"] == row["billed"] is not None
            assert line["cost_picousd"] == row["cost_picousd"] == self.model[job_id].costs[number]

    @invariant()
    def an_attempt_is_open_only_while_its_job_is_held(self) -> None:
        active = {job_id for job_id, model in self.model.items() if model.state is State.ACTIVE}
        assert {row["job_id"] for row in self.store.open_attempts()} <= active

    @invariant()
    def a_job_ends_once_a_life(self) -> None:
        events = self.store.rows(event_logs, event_logs.c.kind.in_(["retry", "reroute"]))
        revivals = Counter(event["job_id"] for event in events if event["data"]["from"] in TERMINAL)
        for job_id, model in self.model.items():
            assert model.ends == revivals[job_id] + (model.state in TERMINAL)


def _forget_the_disk(connection: Any, _record: Any) -> None:
    """Nothing is killed here, so nothing has to reach the disk."""
    connection.execute("PRAGMA synchronous=OFF")


class PostgresMachine(StoreMachine):
    """On one database, which is emptied for each example."""

    shared: Database

    def empty_database(self) -> Database:
        with self.shared.transaction() as connection:
            for table in metadata.tables.values():
                connection.execute(table.delete())
        return self.shared

    def teardown(self) -> None:
        """The next example goes on with it."""


def run(machine: type[StoreMachine], examples: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.timeout(600)
def test_the_store_keeps_its_promises_whatever_is_done_to_jobs(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    with closing(Database(f"sqlite:///{template}")) as database:
        upgrade(database)
    run(type("Machine", (StoreMachine,), {"template": template}), examples=30)


@pytest.mark.timeout(600)
def test_postgresql_keeps_them_too(migrated_postgres_database: str) -> None:
    with closing(Database(migrated_postgres_database)) as database:
        upgrade(database)
        with database.transaction() as connection:
            # Nothing is killed here, so nothing has to reach the disk.
            name = sa.make_url(migrated_postgres_database).database
            connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        run(type("Machine", (PostgresMachine,), {"shared": database}), examples=8)
