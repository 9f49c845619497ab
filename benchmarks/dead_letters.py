"""Dead letters retried in bulk: how many a second, what memory the scheduler takes for it, whether one is doubled."""

import json
import time
from contextlib import closing

import uvloop

from benchmarks import cpu
from benchmarks.client import Connection
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.provider import catalog_file
from benchmarks.report import BenchmarkError, figure, say
from benchmarks.system import Shape, System, running
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.store.admin.keys import Keys
from synthralos.store.sql.database import Database

JOBS, JOBS_SMOKE = 100_000, 2_000
WARM_UP = 1_000
"""Dead letters of the first operation: what a process takes once (modules, buffers of libraries) is no job's."""

_BURY = """
WITH gone AS (DELETE FROM open_jobs RETURNING id, claim_no, attempts, retry_base, losses)
INSERT INTO results (job_id, state, claim_no, attempts, retry_base, losses, failure, finished_at, analyzed_at)
SELECT id, 'failed', claim_no, attempts, retry_base, losses,
  '{"class":"overloaded","message":"try later","retry_after":null,"http_status":529,"provider_code":null}', now(), now()
FROM gone
"""


def main(smoke: bool) -> None:
    """No worker runs: what is measured is the operation, after one that brings the scheduler to its usual size."""
    count = JOBS_SMOKE if smoke else JOBS
    with (
        catalog_file("http://127.0.0.1:9/v1") as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape(worker_processes=0)) as system,
    ):
        scheduler, key = system.children["scheduler"].pid, _operator(database_url)
        _buried(system, WARM_UP)
        _wait(system, uvloop.run(_operate(system, key)), WARM_UP)
        system.connection.execute(b"DELETE FROM open_jobs")
        _buried(system, count)
        before = cpu.peak_memory_mb(scheduler)
        began = time.perf_counter()
        _wait(system, uvloop.run(_operate(system, key)), count)
        seconds = time.perf_counter() - began
        grown = cpu.peak_memory_mb(scheduler) - before
        events = system.number("SELECT count(*) FROM event_logs WHERE kind = 'retry'") - WARM_UP
        queued = system.number("SELECT count(*) FROM open_jobs WHERE state = 'queued' AND stage = 'guard'")
    if queued != count:
        raise BenchmarkError(f"{queued:.0f} of {count} jobs are queued again")
    say(f"{count} dead letters in {seconds:.1f} s; the scheduler grew by {grown:.1f} MB")
    figure("retried_per_s", count / seconds, "jobs/s")
    figure("duplicates", events - count, "jobs")
    figure("memory_kb_per_job", 1000 * grown / count, "kB")


def _buried(system: System, count: int) -> None:
    """So many dead letters."""
    system.submit(count)
    system.connection.execute(_BURY.encode())
    system.connection.execute(b"ANALYZE")


def _operator(database_url: str) -> str:
    with closing(Database(database_url)) as database:
        return Keys(database).create("operator", Role.OPERATOR, Scope("bench"))[0]


async def _operate(system: System, key: str) -> str:
    async with Connection(system.url, key) as connection:
        body = json.dumps({"act": "retry", "filter": {"failure_class": "overloaded"}}).encode()
        answer = await connection.accepted(connection.encode("POST", "/api/v1/dead-letters/operations", body))
        return str(answer["id"])


def _wait(system: System, operation: str, count: int) -> None:
    deadline = time.monotonic() + 60 + count / 100
    while system.value(f"SELECT state FROM bulk_operations WHERE id = '{operation}'") != "done":
        if time.monotonic() > deadline:
            raise BenchmarkError("the operation does not end")
        time.sleep(0.02)
