"""The check itself: each way of breaking a promise, done to a finished database by hand, is noticed."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from synthralos.store.sql.database import Database
from tests.faults.harness import PRICES, Site, site
from tests.faults.harness_promises import broken_promises

Bill = list[dict[str, Any]]

_REOPENED = """
INSERT INTO open_jobs
  (id, state, stage, lane, claim_no, attempts, retry_base, losses, rings, in_flight, entry_key, started_at, notified_at)
SELECT r.job_id, 'queued', 'execute', 'bulk', r.claim_no, r.attempts, 0, 0, 0, {in_flight}, a.entry_key, a.started_at,
  r.finished_at FROM results r JOIN attempts a ON a.job_id = r.job_id WHERE r.job_id = :job;
"""
_GONE = "DELETE FROM results WHERE job_id = :job;"

_TAMPERINGS = {
    "a job that is not finished": _REOPENED.format(in_flight="false") + _GONE,
    "a job that is open and has its result": _REOPENED.format(in_flight="false"),
    "a job that is gone": "DELETE FROM jobs WHERE id = :job;" + _GONE,
    "a job that is nowhere": _GONE,
    "a result that is overwritten": """UPDATE results SET result = '{"text": "answer 2"}' WHERE job_id = :job""",
    "a finished job that is revived": "UPDATE results SET state = 'queued' WHERE job_id = :job;"
    "UPDATE results SET state = 'active' WHERE job_id = :job;"
    "UPDATE results SET state = 'succeeded' WHERE job_id = :job",
    "a step that is not in the table": "UPDATE results SET state = 'denied' WHERE job_id = :job;"
    "UPDATE results SET state = 'succeeded' WHERE job_id = :job",
    "a call that is not on the books": "DELETE FROM attempts WHERE job_id = :job;"
    "UPDATE results SET attempts = 0 WHERE job_id = :job",
    "an attempt that is still open": _REOPENED.format(in_flight="true") + "DELETE FROM attempts WHERE job_id = :job;",
    "a cost that is one picodollar off": "UPDATE attempts SET cost_picousd = cost_picousd + 1 WHERE job_id = :job",
    "a billed call that is said to be free": "UPDATE attempts SET outcome = 'failed' WHERE job_id = :job;"
    "UPDATE attempts SET billed = 'no' WHERE job_id = :job",
    "tokens that disagree": "UPDATE attempts SET input_tokens = 0 WHERE job_id = :job",
    "a price that is missing in the cost log": "UPDATE catalog_entries SET price = NULL",
    "an attempt whose entry is gone": "DELETE FROM catalog_entries",
    "an attempt without a call that is said to be paid": "UPDATE attempts SET attempt_no = 2 WHERE job_id = :job",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A database in which all promises hold, after one real run."""
    folder = tmp_path_factory.mktemp("finished")
    with site(f"sqlite:///{folder / 'synthralos.db'}", "memory://", folder, port=0) as made:
        system = made.embedded()
        with system.client() as client:
            answer = client.post("/api/v1/jobs", json=[{"model": "fake/small", "prompt": "Hello."}] * 3)
        made.accepted += [job["id"] for job in answer.json()["jobs"]]
        made.check_promises()
        system.kill()
        yield made


@pytest.fixture
def check(finished: Site, tmp_path: Path) -> Callable[..., list[str]]:
    """Break a copy of the database with SQL, and the bill with a function; what is noticed."""

    def broken_by(tampering: str = "", forge: Callable[[Bill], object] = len) -> list[str]:
        copy = tmp_path / "copy.db"
        with (
            closing(sqlite3.connect(finished.folder / "synthralos.db")) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        database = Database(f"sqlite:///{copy}")
        with database.transaction() as connection:
            for statement in filter(str.strip, tampering.split(";")):
                connection.execute(sa.text(statement), {"job": finished.accepted[0]} if ":job" in statement else {})
        bill = finished.provider.bill()
        forge(bill)
        try:
            return broken_promises(database, finished.accepted, bill, PRICES)
        finally:
            database.close()

    return broken_by


def test_nothing_is_noticed_where_nothing_is_wrong(check: Callable[..., list[str]]) -> None:
    assert check() == []


@pytest.mark.parametrize("tampering", _TAMPERINGS.values(), ids=_TAMPERINGS.keys())
def test_a_database_that_breaks_a_promise_is_noticed(check: Callable[..., list[str]], tampering: str) -> None:
    assert check(tampering)


def test_a_call_that_was_made_twice_is_noticed(check: Callable[..., list[str]]) -> None:
    assert check(forge=lambda bill: bill.append(dict(bill[0])))


def test_a_call_that_nobody_booked_is_noticed(check: Callable[..., list[str]]) -> None:
    assert check(forge=lambda bill: bill.append({**bill[0], "attempt_no": 9}))
