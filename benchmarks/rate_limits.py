"""Rate limits: how well a crowd of processes keeps to them together, and how soon a job that waited goes on."""

import contextlib
import heapq
import multiprocessing
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from multiprocessing.synchronize import Barrier

import psycopg

from benchmarks.places import BrokerPlace, postgresql_database, rabbitmq_vhost, redis_prefix
from benchmarks.provider import catalog_file, nginx
from benchmarks.report import BenchmarkError, figure, percentile, say
from benchmarks.system import Shape, running
from pipelines.guard.rate_limits import RateLimitGuard
from pipelines.limits.limiter import Limiter
from pipelines.limits.shared import RedisMeter
from synthralos.config.config import Config
from synthralos.config.credentials import Credentials
from synthralos.domain.attempts import AttemptEnd, Billed, Outcome
from synthralos.domain.deployments import Catalog
from synthralos.domain.ids import new_id
from synthralos.domain.jobs import UNCONSTRAINED, Claim, Job, Request, Tenant
from synthralos.domain.limits import DEFAULT_LIMITS, Per, Rate, Unit, Window
from synthralos.domain.money import Usage
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Configuration
from synthralos.store.queue.spans import read_spans
from synthralos.store.sql.database import Database
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages

PROCESSES = 8
SECONDS, SECONDS_SMOKE = 20.0, 2.0
WAITING = 100
"""Jobs that each process has at any time; whoever is done is followed by another."""

TOKENS, REQUESTS = 200_000, 120
"""A second, of the tenant that all processes work for: the tokens run out first."""

LONGEST, CALL_SECONDS = 4_000, (0.1, 0.5)
"""Tokens of an answer, from 1 on, and how long calls take. No job says how long its answer may be."""

JOBS, JOBS_SMOKE, PER_SECOND = 200, 30, 20
"""Of the system that runs: so many jobs at once, with a limit of so many a second."""


def main(smoke: bool) -> None:
    """First the limiter alone, then the whole system."""
    _crowd(SECONDS_SMOKE if smoke else SECONDS)
    _system(JOBS_SMOKE if smoke else JOBS)


@dataclass(frozen=True, slots=True)
class _Took:
    """What one process got through, and how often it asked."""

    tokens: int
    requests: int
    asked: int
    seconds: float


def _crowd(seconds: float) -> None:
    context = multiprocessing.get_context("spawn")
    with redis_prefix() as place:
        barrier = context.Barrier(PROCESSES)
        with context.Pool(PROCESSES, initializer=_share, initargs=(barrier,)) as pool:
            found = pool.starmap(
                _hammer, [(place.url, f"{place.namespace}:", seed, seconds) for seed in range(PROCESSES)]
            )
    elapsed = max(each.seconds for each in found)
    used = {
        "tokens": sum(each.tokens for each in found) / (TOKENS * (1 + elapsed)),
        "requests": sum(each.requests for each in found) / (REQUESTS * (1 + elapsed)),
    }
    asked, admitted = sum(each.asked for each in found), sum(each.requests for each in found)
    say(f"{PROCESSES} processes, {elapsed:.1f} s: {admitted:,} jobs went on, {asked / admitted:.1f} questions each")
    for unit, share in used.items():
        say(f"  {unit}: {share:.3f} of what a full bucket and its refill allow")
    figure("overshoot_share", max(0.0, max(used.values()) - 1), "share")
    figure("used_share", max(used.values()), "share")


_barrier: list[Barrier] = []


def _share(barrier: Barrier) -> None:
    _barrier.append(barrier)


def _hammer(url: str, prefix: str, seed: int, seconds: float) -> _Took:
    """One process: its jobs ask, wait as they are told, are called, and use what they use."""
    rng = random.Random(seed)
    config = _config()
    meter = RedisMeter(url, prefix)
    limiter = Limiter(meter, fails_open=False, outages=Outages(), metrics=Metrics())
    guard = RateLimitGuard(config, limiter)
    _barrier[0].wait(60)
    begin = time.monotonic()
    due = [(begin, number, _job()) for number in range(WAITING)]
    calls: list[tuple[float, int, Job, int]] = []
    tokens = requests = asked = 0
    while (now := time.monotonic()) < begin + seconds:
        ready = []
        while due and due[0][0] <= now:
            ready.append(heapq.heappop(due)[2])
        for job, finding in zip(ready, guard.inspect(ready), strict=True):
            asked += 1
            if finding is None:
                size = rng.randint(1, LONGEST)
                tokens, requests = tokens + size, requests + 1
                heapq.heappush(calls, (now + rng.uniform(*CALL_SECONDS), asked, job, size))
                heapq.heappush(due, (now, asked, _job()))
            else:
                heapq.heappush(due, (now + (finding.defer_seconds or 0.0), asked, job))
        while calls and calls[0][0] <= now:
            _, _, job, size = heapq.heappop(calls)
            limiter.used(config, job, AttemptEnd(1, Outcome.SUCCEEDED, Billed.YES, Usage(0, size), None))
        wake = min([begin + seconds, *(each[0][0] for each in (due, calls) if each)])
        time.sleep(max(0.001, wake - time.monotonic()))
    limiter.close()
    return _Took(tokens, requests, asked, time.monotonic() - begin)


def _config() -> Config:
    rates = (
        Rate(Per.ORGANIZATION, Unit.TOKENS, Window.SECOND, TOKENS),
        Rate(Per.ORGANIZATION, Unit.REQUESTS, Window.SECOND, REQUESTS),
    )
    limits = {
        plan: each.changed({"rates": [rate.to_json() for rate in rates]}) for plan, each in DEFAULT_LIMITS.items()
    }
    catalog = Catalog([])
    return Config(catalog, Credentials({}, catalog, "on"), limits=limits)


def _job() -> Job:
    job_id = new_id()
    request = Request("auto", {"messages": [{"role": "user", "content": "Write."}]})
    return Job(
        job_id, Tenant("bench"), Stage.GUARD, Lane.BULK, job_id, request, UNCONSTRAINED, Claim("w", 1), datetime.now()
    )


def _system(jobs: int) -> None:
    with (
        nginx() as (base_url, _),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        redis_prefix() as counted,
        running(
            database_url, BrokerPlace(broker.url, counted.namespace), catalog, Shape(), REDIS_URL=counted.url
        ) as system,
    ):
        with _limited(database_url):
            system.submit(jobs)
            system.until_finished()
        if done := system.number("SELECT count(*) FROM all_jobs WHERE state <> 'succeeded'"):
            raise BenchmarkError(f"{done:.0f} jobs did not succeed")
        late = _late(system.connection)
    if not late:
        raise BenchmarkError("no job had to wait")
    say(f"{jobs} jobs at {PER_SECOND} a second: {len(late)} waits, median {1000 * percentile(late, 50):.0f} ms late")
    figure("wake_ms", 1000 * percentile(late, 95), "ms")


@contextlib.contextmanager
def _limited(database_url: str) -> Iterator[None]:
    with contextlib.closing(Database(database_url)) as database:
        rate = Rate(Per.ORGANIZATION, Unit.REQUESTS, Window.SECOND, PER_SECOND)
        Configuration(database).set_own_limits("bench", {"rates": [rate.to_json()]}, By("benchmark"))
        time.sleep(2.5)  # in force in every process
        yield


def _late(connection: psycopg.Connection[tuple[object, ...]]) -> list[float]:
    """Seconds between the time that a job was told and its next time in the guard stage, for each wait."""
    late = []
    for job_id, lines in connection.execute("SELECT job_id::text, spans FROM results"):
        guards = [span for span in read_spans(str(job_id), str(lines)) if span["name"] == "guard"]
        for waits, goes_on in pairwise(guards):
            told = datetime.fromisoformat(waits["attributes"]["reason"].rpartition(" ")[2].replace("Z", "+00:00"))
            late.append((goes_on["ended_at"] - told).total_seconds())
    return late
