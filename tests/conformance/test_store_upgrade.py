"""What an upgrade promises to a database that holds data: nothing is lost, and the way back restores it."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from migrations.runner import downgrade, upgrade
from synthralos.domain.ids import new_id, trace_id_of
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.spans import Span
from synthralos.store.queue.spans import span_line
from synthralos.store.queue.statements import lines
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import encode_time
from synthralos.store.tables import all_attempts, model_cost_logs, results

WORKER, ACTIVE, PARKED, DONE, DEAD = (new_id() for _ in range(5))
THEN = "2026-01-31T12:00:00.000000Z"
LATER = "2026-01-31T12:00:09.500000Z"
PRICE = json.dumps({"input": "0.15", "output": "0.6", "cached": None, "cache_write": None, "as_of": "2026-01-01"})
REQUEST = json.dumps({"body": {"messages": [{"role": "user", "content": 'Grüße \\ "x"\n'}]}, "provider_options": {}})


@pytest.fixture(params=["sqlite", "postgres"])
def first(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of the first revision, with jobs in it."""
    with closing(Database(request.getfixturevalue(f"{request.param}_database"))) as database:
        upgrade(database, "0001")
        fill(database)
        yield database


def fill(database: Database) -> None:
    """A job in a worker's hands, one that is parked, one with a result, and a dead letter."""
    insert(database, "plans", key="p1", body='{"strategy": "cheapest", "steps": []}', created_at=THEN)
    job(database, ACTIVE, "active", worker_id=WORKER, claim_no=2, attempts=2, trace_id="ab" * 16)
    job(database, PARKED, "parked", run_at=LATER, deadline=LATER, metadata='{"team": "x"}')
    job(
        database, DONE, "succeeded", stage="analyze", attempts=1, plan_key="p1", plan_cursor=0, finished_at=LATER,
        analyzed_at=LATER, result='{"text": "Hi"}', verdict='{"decision": "allow", "findings": []}',
    )  # fmt: skip
    job(
        database, DEAD, "failed", stage="analyze", attempts=1, losses=1, finished_at=LATER,
        failure='{"class": "internal", "message": "no"}',
    )  # fmt: skip
    attempt(database, ACTIVE, 1, "failed", billed="no", cost_picousd=0, failure='{"class": "timeout"}', ended_at=LATER)
    attempt(database, ACTIVE, 2, "open", reserved_picousd=7, provider_model=None)
    attempt(database, DONE, 1, "succeeded", billed="yes", cost_picousd=442_500_000, input_tokens=10, ended_at=LATER)
    attempt(database, DEAD, 1, "lost", billed="maybe", ended_at=LATER, provider_model=None)
    cost(database, ACTIVE, 1, "no", cost_picousd=0, price=PRICE)
    cost(database, DONE, 1, "yes", cost_picousd=442_500_000, input_tokens=10, price=PRICE)
    cost(database, DEAD, 1, "maybe")
    for number, name in enumerate(["guard", "execute"]):
        insert(
            database, "spans", job_id=DONE, span_id=f"{number + 1:016x}", name=name, status="ok",
            started_at=f"2026-01-31T12:00:0{number}.000000Z", ended_at=LATER, attributes='{"said": "a\\nb"}',
        )  # fmt: skip


def job(database: Database, job_id: str, state: str, **more: Any) -> None:
    row = {
        "id": job_id, "organization": "acme", "workspace": "main", "organization_plan": "pro", "lane": "bulk",
        "state": state, "stage": "execute", "trace_id": trace_id_of(job_id), "model": "auto", "request": REQUEST,
        "constraints": '{"strategy": "fastest"}', "metadata": "{}", "claim_no": 1, "attempts": 0, "retry_base": 0,
        "losses": 0, "created_at": THEN, "rung_at": THEN,
    }  # fmt: skip
    insert(database, "jobs", **{**row, **more})


def attempt(database: Database, job_id: str, number: int, outcome: str, **more: Any) -> None:
    row = {
        "job_id": job_id, "attempt_no": number, "worker_id": WORKER, "claim_no": number, "deployment": "s/m@eu",
        "provider": "s", "model": "m", "region": "eu", "outcome": outcome, "late": False, "started_at": THEN,
        "provider_model": "m-2026",
    }  # fmt: skip
    insert(database, "attempts", **{**row, **more})


def cost(database: Database, job_id: str, number: int, billed: str, **more: Any) -> None:
    row = {
        "job_id": job_id, "attempt_no": number, "organization": "acme", "workspace": "main", "deployment": "s/m@eu",
        "trace_id": "ab" * 16 if job_id == ACTIVE else trace_id_of(job_id), "model": "m-2026", "billed": billed,
        "logged_at": LATER,
    }  # fmt: skip
    insert(database, "model_cost_logs", **{**row, **more})


def insert(database: Database, table: str, **row: Any) -> None:
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with database.transaction() as connection:
        connection.execute(sa.text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)


def test_jobs_attempts_costs_and_spans_are_the_same_afterwards(first: Database) -> None:
    upgrade(first)
    reader = Reader(first)
    jobs = reader.jobs([ACTIVE, PARKED, DONE, DEAD], EVERYTHING)
    assert {i: row["state"] for i, row in jobs.items()} == {
        ACTIVE: "active", PARKED: "parked", DONE: "succeeded", DEAD: "failed"
    }  # fmt: skip
    assert jobs[ACTIVE]["trace_id"] == "ab" * 16
    assert jobs[PARKED]["trace_id"] == trace_id_of(PARKED)
    assert jobs[PARKED]["metadata"] == {"team": "x"}
    assert jobs[DONE]["request"] == json.loads(REQUEST)
    assert (jobs[DONE]["result"], jobs[DONE]["cost"]) == ({"text": "Hi"}, Decimal("0.0004425"))
    assert (jobs[DONE]["plan"] or {})["strategy"] == "cheapest"
    assert jobs[DEAD]["failure"]["message"] == "no"
    timeline = reader.timeline(DONE)
    assert [span["name"] for span in timeline["spans"]] == ["guard", "execute"]
    assert timeline["spans"][0]["attributes"] == {"said": "a\nb"}
    with first.snapshot() as connection:
        attempts = connection.execute(sa.select(all_attempts).order_by(all_attempts.c.attempt_no)).all()
        costs = connection.execute(sa.select(model_cost_logs)).all()
    assert sorted((a.job_id, a.attempt_no, a.outcome) for a in attempts) == sorted(
        [(ACTIVE, 1, "failed"), (ACTIVE, 2, "open"), (DONE, 1, "succeeded"), (DEAD, 1, "lost")]
    )
    assert {a.deployment for a in attempts} == {"s/m@eu"}
    assert {(c.job_id, c.model, c.billed) for c in costs} == {
        (ACTIVE, "m-2026", "no"), (DONE, "m-2026", "yes"), (DEAD, "m-2026", "maybe")
    }  # fmt: skip
    assert {c.job_id: None if c.price is None else c.price["input"] for c in costs} == {
        ACTIVE: "0.15", DONE: "0.15", DEAD: None
    }  # fmt: skip


def test_the_way_back_restores_every_row(first: Database) -> None:
    before = everything(first)
    upgrade(first)
    downgrade(first, "0001")
    after = everything(first)
    for row in before["attempts"]:
        # What the provider called the model is known from the cost line, from here on in the attempt itself.
        if row["outcome"] != "open":
            row["provider_model"] = row["provider_model"] or "m-2026"
    assert after == before


def test_spans_of_both_revisions_are_rows_on_the_way_back(first: Database) -> None:
    upgrade(first)
    began = datetime(2026, 1, 31, 12, 0, 10, 123456, tzinfo=UTC)
    more = [Span("heal", began, began + timedelta(microseconds=1), "error"), Span("heal", began, began)]
    following = Span("analyze", began, began + timedelta(seconds=1), attributes={"attempts": 2})
    with first.transaction() as connection:
        spans = lines(results.c.spans, sa.literal(span_line([*more, following])))
        connection.execute(sa.update(results).where(results.c.job_id == DONE).values(spans=spans))
    shown = Reader(first).timeline(DONE)["spans"]
    assert [span["name"] for span in shown] == ["guard", "execute", "heal", "heal", "analyze"]
    downgrade(first, "0001")
    assert {tuple(map(str, row.values())) for row in everything(first)["spans"]} == {
        tuple(str(_stored(first, value)) for value in span.values()) for span in shown
    }


def _stored(database: Database, value: Any) -> Any:
    return encode_time(value) if isinstance(value, datetime) and database.dialect == "sqlite" else value


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    with database.snapshot() as connection:
        for table in ("jobs", "attempts", "model_cost_logs", "spans", "plans"):
            reflected = sa.Table(table, sa.MetaData(), autoload_with=connection)
            found = connection.execute(sa.select(reflected)).mappings()
            rows[table] = sorted((dict(row) for row in found), key=lambda row: str(list(row.values())[:2]))
    return rows
