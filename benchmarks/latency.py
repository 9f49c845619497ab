"""Added latency: from the POST of a single job to its visible result, at 100 jobs/s, without the provider's time."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter

import uvloop

from benchmarks.client import Connection
from benchmarks.places import no_broker, postgresql_database, rabbitmq_vhost, redis_prefix
from benchmarks.provider import catalog_file, nginx
from benchmarks.report import BenchmarkError, cpu_table, figure, percentile, say
from benchmarks.system import Shape, System, check_books, running
from benchmarks.throughput import warm_up
from benchmarks.workload import job

RATE = 100
SECONDS, SECONDS_SMOKE = 20, 2
WARM_UP = 200

_PLACES = {"rabbitmq": rabbitmq_vhost, "redis": redis_prefix, "no_broker": no_broker}


@dataclass(frozen=True)
class Sample:
    """One job, in seconds after it was due: when its POST left, when it was answered 202, when its result was here."""

    sent: float
    accepted: float
    finished: float


class Pool:
    """Kept connections; another one is opened when all are busy."""

    def __init__(self, url: str, key: str, stack: contextlib.AsyncExitStack) -> None:
        self._url, self._key, self._stack = url, key, stack
        self._free: list[Connection] = []

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one caller."""
        if self._free:
            taken = self._free.pop()
        else:
            taken = await self._stack.enter_async_context(Connection(self._url, self._key))
        yield taken
        self._free.append(taken)


def main(smoke: bool) -> None:
    """RabbitMQ, then Redis, then the database alone."""
    for broker in _PLACES:
        added = _on(broker, RATE * (SECONDS_SMOKE if smoke else SECONDS))
        for percent in (50, 95):
            value = percentile(added, percent)
            figure(f"{broker}_added_p{percent}_ms", value, "ms")
            if broker == "rabbitmq":
                figure(f"added_p{percent}_ms", value, "ms")


def _on(broker: str, count: int) -> list[float]:
    """The added milliseconds of `count` jobs."""
    with (
        nginx() as (base_url, server),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        _PLACES[broker]() as place,
        running(database_url, place, catalog, Shape()) as system,
    ):
        warm_up(system, WARM_UP)
        uvloop.run(open_loop(system, RATE))
        provider = uvloop.run(_provider_seconds(base_url))
        meter = system.meter(server)
        samples = uvloop.run(open_loop(system, count))
        used = meter.read()
        check_books(system)
    _tell(broker, samples, provider)
    cpu_table(f"latency on {broker}", used, count / RATE, count, "job")
    return [1000 * (sample.finished - provider) for sample in samples]


async def open_loop(system: System, count: int) -> list[Sample]:
    """A job each 1/RATE seconds, whether or not the earlier ones are finished."""
    numbers = range(system.sent, system.sent + count)
    system.sent += count
    async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        pool = Pool(system.url, system.key, stack)
        began = perf_counter() + 0.1
        tasks = []
        for place, number in enumerate(numbers):
            due = began + place / RATE
            await asyncio.sleep(due - perf_counter())
            tasks.append(group.create_task(_one(pool, json.dumps(job(number)).encode(), due)))
        return [await task for task in tasks]


async def _one(pool: Pool, body: bytes, due: float) -> Sample:
    async with pool.connection() as connection:
        sent = perf_counter()
        answer = await connection.accepted(connection.encode("POST", "/api/v1/jobs", body))
        accepted = perf_counter()
        _, view = await connection.send(connection.encode("GET", f"{answer['url']}?wait=60"))
        finished = perf_counter()
    if (seen := json.loads(view))["state"] != "succeeded" or not seen["result"]["text"]:
        raise BenchmarkError(f"a job ended as {seen['state']}: {seen['failure']}")
    return Sample(sent - due, accepted - due, finished - due)


async def _provider_seconds(base_url: str, count: int = 200) -> float:
    """The median time of a call to the provider over a kept connection."""
    times = []
    async with Connection(base_url) as connection:
        request = connection.encode("POST", "/v1/chat/completions", json.dumps(job(0)).encode())
        for _ in range(count):
            began = perf_counter()
            await connection.send(request)
            times.append(perf_counter() - began)
            await asyncio.sleep(1 / RATE)
    return percentile(times, 50)


def _tell(broker: str, samples: list[Sample], provider: float) -> None:
    accepted, finished, late = (
        [1000 * value for value in values]
        for values in zip(*((s.accepted, s.finished, s.sent) for s in samples), strict=True)
    )
    say(f"{broker}: {len(samples)} jobs at {RATE}/s; a call to the provider takes {1000 * provider:.2f} ms")
    say(f"  202 after p50 {percentile(accepted, 50):.1f} ms, p95 {percentile(accepted, 95):.1f} ms")
    say(f"  result after p50 {percentile(finished, 50):.1f}, p95 {percentile(finished, 95):.1f}, "
        f"p99 {percentile(finished, 99):.1f}, at most {max(finished):.1f} ms")  # fmt: skip
    say(f"  of it the client's own delay in sending: p95 {percentile(late, 95):.1f} ms")
