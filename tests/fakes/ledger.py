"""Calls in the ledger, many at a time and as long ago as a test wants: rows as settlements write them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.ids import new_id
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import attempts, catalog_entries, jobs, routing_plans
from tests.fakes.jobs import plan


class Calls(NamedTuple):
    """So many calls of an organization to a deployment, alike; `failed` has their failure, where they failed."""

    deployment: str
    number: int
    failed: FailureClass | None = None
    seconds: float = 1.0
    organization: str = "acme"
    output: int = 100
    cost: Decimal | None = Decimal("0.0004")
    deadline_in: float | None = None


def now(database: Database) -> datetime:
    """The database's time."""
    with database.snapshot() as connection:
        found: datetime = connection.execute(sa.select(utcnow())).scalar_one()
    return found


def book(database: Database, ended_at: datetime, some: Sequence[Calls]) -> None:
    """Have these calls ended at that time."""
    rows = [(new_id(), calls) for calls in some for _ in range(calls.number)]
    with database.transaction() as connection:
        for deployment in {calls.deployment for calls in some}:
            _enter(connection, deployment, ended_at)
        if rows:
            connection.execute(sa.insert(jobs), [_job(job_id, calls, ended_at) for job_id, calls in rows])
            connection.execute(sa.insert(attempts), [_attempt(job_id, calls, ended_at) for job_id, calls in rows])


def keep_plan(database: Database, deployment: str, steps: Sequence[str]) -> None:
    """Have calls of the deployment be made under a plan with these steps."""
    made, at = plan(*steps), now(database)
    row = {"key": f"plan of {deployment}", "body": made.body(), "created_at": at}
    with database.transaction() as connection:
        _enter(connection, deployment, at)
        connection.execute(sa.insert(routing_plans).values(row))
        mine = catalog_entries.c.key == f"of {deployment}"
        connection.execute(sa.update(catalog_entries).where(mine).values(grounds={"plan_key": row["key"]}))


def _enter(connection: sa.Connection, deployment: str, at: datetime) -> None:
    key = f"of {deployment}"
    if connection.execute(sa.select(catalog_entries.c.key).where(catalog_entries.c.key == key)).first() is None:
        provider, _, model = deployment.partition("/")
        names = {"provider": provider, "model": model, "upstream_model": model, "region": "us"}
        connection.execute(sa.insert(catalog_entries).values(key=key, deployment=deployment, created_at=at, **names))


def _job(job_id: str, calls: Calls, at: datetime) -> dict[str, Any]:
    deadline = None if calls.deadline_in is None else at + timedelta(seconds=calls.deadline_in)
    return {
        "id": job_id, "organization": calls.organization, "workspace": "main", "account_plan": "pro", "lane": "bulk",
        "model": "small", "request": {}, "created_at": at, "deadline": deadline,
    }  # fmt: skip


def _attempt(job_id: str, calls: Calls, at: datetime) -> dict[str, Any]:
    failure = None if calls.failed is None else Failure(calls.failed, "a test made it").to_json()
    return {
        "job_id": job_id, "attempt_no": 1, "worker_id": new_id(), "claim_no": 1, "entry_key": f"of {calls.deployment}",
        "outcome": str(Outcome.FAILED if failure else Outcome.SUCCEEDED), "billed": str(Billed.YES), "late": False,
        "failure": failure, "input_tokens": 50, "output_tokens": calls.output, "cost_picousd": calls.cost,
        "seconds": calls.seconds, "started_at": at - timedelta(seconds=calls.seconds), "ended_at": at,
    }  # fmt: skip
