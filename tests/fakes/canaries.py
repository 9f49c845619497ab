"""A store in which words of a person are planted, wherever people may say anything."""

from decimal import Decimal
from typing import Any

import sqlalchemy as sa

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
from synthralos.store.queue.idempotency import Once
from synthralos.store.queue.submissions import Idempotency
from synthralos.store.queue.thoughts import Thoughts
from synthralos.store.read import cost_parts
from synthralos.store.retention.cost_sums import CostSums
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.erasures import Erasures
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database
from synthralos.store.tables import (
    bulk_operations,
    deliveries,
    export_set_aside,
    feedback,
    happenings,
    prompt_similarity_logs,
    repairs,
    run_forks,
    schedules,
    stream_chunks,
    waits,
)
from synthralos.streams.memory import MemoryStreams
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
        once = Once(tenant.organization, tenant.workspace, Idempotency(f"{CANARY}-2", "f"))
        Thoughts(self.database).add(good, EVERYTHING, By("agent", once=once), f"{CANARY} thinks")
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
