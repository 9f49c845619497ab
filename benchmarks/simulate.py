"""Simulation: seconds to try a draft of 20 rules, beside 20 in force, on 100,000 recorded jobs in PostgreSQL."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg

from benchmarks.places import postgresql_database
from benchmarks.report import BenchmarkError, figure, say
from benchmarks.workload import job
from migrations.runner import upgrade
from pipelines.flow.trial import trial
from synthralos.config.catalog import load_catalog
from synthralos.config.config import Config
from synthralos.config.credentials import Credentials
from synthralos.config.settings import Settings
from synthralos.domain.ids import new_id
from synthralos.domain.policies import PolicySet
from synthralos.domain.scope import EVERYTHING
from synthralos.store.read.recorded import Recorded, RecordedJobs
from synthralos.store.sql.database import Database

JOBS, JOBS_SMOKE = 100_000, 1_000
_JOBS = "COPY jobs (id, organization, workspace, account_plan, lane, model, request, metadata, created_at) FROM STDIN"
_RESULTS = (
    "COPY results (job_id, state, claim_no, attempts, retry_base, losses, verdict, result, finished_at) FROM STDIN"
)
_FLAGGED = {
    "decision": "flag",
    "findings": [
        {"guard": "abuse", "decision": "flag", "reason": "spam", "signals": {"score": 0.7, "kind": "spam"}},
        {"guard": "policies", "decision": "flag", "reason": "a policy flags it", "signals": {"rule": "r"}},
    ],
}


def main(smoke: bool) -> None:
    """The jobs are of ten organizations; every tenth was flagged. Reading them is part of it."""
    count = JOBS_SMOKE if smoke else JOBS
    with postgresql_database() as url:
        database = Database(url)
        try:
            upgrade(database)
            _fill(url, count)
            seconds = _simulate(database, count)
        finally:
            database.close()
    figure("simulate_s", seconds, "s")


def _simulate(database: Database, count: int) -> float:
    catalog = load_catalog(None)
    environ = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k", "GOOGLE_API_KEY": "k"}
    config = Config(
        catalog,
        Credentials.from_settings(Settings(sandbox="off"), environ, catalog),
        policies=(PolicySet(new_id(), "in force", 1, tuple(map(_idle, range(20)))),),
    )
    began, cpu = time.monotonic(), time.process_time()
    simulation = trial(config, PolicySet("draft", "draft", 1, tuple(_draft())), datetime.now(UTC))
    for page in RecordedJobs(database).pages(Recorded(count), EVERYTHING):
        simulation.take(page)
    seconds = time.monotonic() - began
    report = simulation.report()
    say(f"  {seconds:.1f} s, {time.process_time() - cpu:.1f} s of CPU; {report['changed']:,} jobs would change")
    if report["jobs"] != count or not report["moves"] or not report["stopped"]:
        raise BenchmarkError(f"the simulation saw {report['jobs']:,} of {count:,} jobs, or changed nothing")
    return seconds


def _idle(number: int) -> dict[str, Any]:
    """A rule as people write them; it matches none of the jobs, and is asked to its last condition."""
    conditions = [
        {"field": "organization", "op": "in", "value": [f"org-{n}" for n in range(10)]},
        {"field": "prompt_tokens", "op": "lt", "value": 100_000 + number},
        {"field": "metadata.source", "op": "eq", "value": f"source-{number}"},
    ]
    return {"id": f"idle-{number}", "when": {"all": conditions}, "then": [{"action": "flag", "reason": "seen"}]}


def _draft() -> Iterator[dict[str, Any]]:
    yield {
        "id": "long",
        "when": {"field": "prompt_characters", "op": "gt", "value": 1_400},
        "then": [{"action": "deny", "reason": "too long"}],
    }
    yield {
        "id": "eu",
        "when": {"field": "organization", "op": "in", "value": ["org-1", "org-2", "org-3"]},
        "then": [{"action": "require_region", "regions": ["eu"]}],
    }
    yield {
        "id": "dear",
        "when": {"field": "estimated_cost", "op": "gt", "value": "0.0001"},
        "then": [{"action": "set_tier", "tier": "economy"}],
    }
    for number in range(17):
        yield _idle(100 + number)


def _fill(url: str, count: int) -> None:
    """Finished jobs, a second apart."""
    now = datetime.now(UTC)
    ids = sorted(new_id() for _ in range(count))
    result = orjson.dumps({"text": "Paris", "finish_reason": "stop"}).decode()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy(_JOBS) as copy:
            for number, job_id in enumerate(ids):
                at = now - timedelta(seconds=count - number)
                copy.write_row((job_id, f"org-{number % 10}", "default", "pro", "bulk", "auto", *_sent(number), at))
        with cursor.copy(_RESULTS) as copy:
            for number, job_id in enumerate(ids):
                verdict = orjson.dumps(_FLAGGED).decode() if number % 10 == 0 else None
                copy.write_row((job_id, "succeeded", 1, 1, 0, 0, verdict, result, now))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _sent(number: int) -> tuple[str, str]:
    """The stored request and the metadata of a job."""
    sent = job(number)
    body = {"messages": [{"role": "user", "content": sent["prompt"]}], "max_output_tokens": sent["max_output_tokens"]}
    request = {"body": body, "provider_options": {}}
    return orjson.dumps(request).decode(), orjson.dumps(sent["metadata"]).decode()
