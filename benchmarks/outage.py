"""An outage: the cheaper of two deployments fails every call for a minute, at 100 jobs/s, and comes back.

Whether jobs fail, how long they take, and how many calls are wasted before and after the breaker opens. Two worker
processes share what they find.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import uvloop

from benchmarks.client import Connection
from benchmarks.latency import Pool
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.provider import deployment_of, provider_process
from benchmarks.report import BenchmarkError, figure, percentile, say
from benchmarks.system import Shape, System, running
from benchmarks.throughput import warm_up
from benchmarks.workload import job

RATE = 100
BEFORE, AFTER = 5.0, 45.0
OUTAGE, OUTAGE_SMOKE = 60.0, 4.0
AFTER_SMOKE = 8.0
WARM_UP = 300


class Call(NamedTuple):
    """One call as the provider saw it."""

    at: float
    model: str
    failed: bool


class Ended(NamedTuple):
    """A job: its state, and the seconds from the moment when it was due to be sent."""

    state: str
    seconds: float


class Change(NamedTuple):
    """So many seconds after the first job the provider is told so."""

    after: float
    path: str


def main(smoke: bool) -> None:
    """A job each hundredth of a second, before, during and after the outage."""
    outage, after = (OUTAGE_SMOKE, AFTER_SMOKE) if smoke else (OUTAGE, AFTER)
    with (
        two_models() as (base_url, catalog),
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape()) as system,
    ):
        warm_up(system, WARM_UP)
        changes = [Change(BEFORE, "/down"), Change(BEFORE + outage, "/up")]
        ended, calls, (_, up) = uvloop.run(through(system, base_url, changes, BEFORE + outage + after))
        opened = system.number("SELECT extract(epoch FROM min(at)) FROM breaker_changes WHERE after = 'open'")
        closed = system.number("SELECT extract(epoch FROM max(at)) FROM breaker_changes WHERE after = 'closed'")
    if not opened:
        raise BenchmarkError("no breaker opened")
    _tell(ended, calls, up, opened, closed)


def _tell(ended: Sequence[Ended], calls: Sequence[Call], up: float, opened: float, closed: float) -> None:
    failed = [call for call in calls if call.failed]
    later = [call for call in failed if call.at > opened]
    during = [call for call in calls if opened < call.at <= up]
    states = {state: sum(each.state == state for each in ended) for state in {each.state for each in ended}}
    say(
        f"{len(ended)} jobs: {states}; {len(failed)} of {len(calls)} calls failed, {len(later)} of them after it opened"
    )
    say(f"the breaker closed {closed - up:.1f} s after the end of the outage")
    figure("failed", len(ended) - states.get("succeeded", 0), "jobs")
    figure("completion_p99_s", percentile([each.seconds for each in ended], 99), "s")
    figure("share_to_dead_after_open", len(later) / max(1, len(during)), "")
    figure("wasted_calls", len(failed) - len(later), "calls")
    figure("opened_after_s", opened - failed[0].at, "s")


async def through(
    system: System, base_url: str, changes: Sequence[Change], seconds: float, rate: float = RATE
) -> tuple[list[Ended], list[Call], list[float]]:
    """Jobs at that rate, while the provider changes: what became of them, its calls, and the times when it changed."""
    async with contextlib.AsyncExitStack() as stack:
        control = await stack.enter_async_context(Connection(base_url))
        pool = Pool(system.url, system.key, stack)

        async def switch() -> list[float]:
            done = []
            for change in changes:
                await asyncio.sleep(began + change.after - perf_counter())
                await control.send(control.encode("POST", change.path))
                done.append(time.time())
            return done

        async with asyncio.TaskGroup() as group:
            began = perf_counter()
            switching = group.create_task(switch())
            tasks = []
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(due - perf_counter())
                tasks.append(group.create_task(_one(pool, json.dumps(job(system.sent + number)).encode(), due)))
        _, seen = await control.send(control.encode("GET", "/calls"))
        return [task.result() for task in tasks], [Call(*each) for each in json.loads(seen)], switching.result()


async def _one(pool: Pool, body: bytes, due: float) -> Ended:
    async with pool.connection() as connection:
        answer = await connection.accepted(connection.encode("POST", "/api/v1/jobs", body))
        state = "queued"
        while state not in ("succeeded", "failed", "denied", "expired", "cancelled"):
            _, view = await connection.send(connection.encode("GET", f"{answer['url']}?wait=60"))
            state = json.loads(view)["state"]
    return Ended(state, perf_counter() - due)


def two_models() -> AbstractContextManager[tuple[str, Path]]:
    """The provider's address, and a catalog of its two models."""
    deployments = "".join(deployment_of(model, (price, price)) for model, price in (("first", 1), ("second", 2)))
    return provider_process("benchmarks.failing_provider", deployments)
