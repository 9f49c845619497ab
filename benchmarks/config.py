"""Live configuration: seconds from a change until it is in force in every process, while jobs run."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from time import perf_counter

import uvloop

from benchmarks.client import Connection
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.processes import Child
from benchmarks.provider import another_deployment, catalog_file, free_port, free_range, nginx
from benchmarks.report import BenchmarkError, figure, percentile, say
from benchmarks.system import Shape, System, check_books, running
from benchmarks.workload import job_array
from synthralos.domain.account_plans import AccountPlan
from synthralos.domain.flags import Flag, FlagState
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Configuration
from synthralos.store.admin.keys import Keys
from synthralos.store.sql.database import Database

ROUNDS, ROUNDS_SMOKE = 20, 2
WORKERS = 2
ARRAY, EVERY = 100, 0.2
"""The load: so many jobs each so many seconds."""

LOOK = 0.01
"""Seconds between two looks at the metrics of all processes."""

PATIENCE = 30.0
BENCHMARK = By("benchmark")

Change = Callable[[int], None]
"""Makes the change of a round."""


def main(smoke: bool) -> None:
    """Flags, limits and deployments, changed past the API and by it; and the catalog file."""
    ports = {"API": free_port(), "scheduler": free_port(), "workers": free_range(WORKERS)}
    own = {name: {"METRICS_PORT": str(port)} for name, port in ports.items()}
    watched = [ports["API"], ports["scheduler"], *range(ports["workers"], ports["workers"] + WORKERS)]
    with (
        nginx() as (base_url, server),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as place,
        running(database_url, place, catalog, Shape(worker_processes=WORKERS), own) as system,
        contextlib.closing(Database(database_url)) as database,
    ):
        rounds, text = ROUNDS_SMOKE if smoke else ROUNDS, catalog.read_text()
        seconds = uvloop.run(_under_load(system, database, catalog, text, watched, rounds))
        system.until_finished()
        check_books(system)
        _still_alive(server)
    for name, taken in seconds.items():
        figure(f"{name}_swap_p50_s", percentile(taken, 50), "s")
        figure(f"{name}_swap_s", max(taken), "s")
    figure("swap_s", max(max(taken) for taken in seconds.values()), "s")


async def _under_load(
    system: System, database: Database, catalog: Path, text: str, ports: list[int], rounds: int
) -> dict[str, list[float]]:
    """By kind of change, the seconds until the last process had each."""
    configuration = Configuration(database)
    admin, _ = Keys(database).create("benchmark", Role.ADMIN, EVERYTHING)

    def flip(number: int) -> None:
        configuration.set_flag(Flag.ENABLE_CRON_BACKOFF, FlagState(True, number % 100), BENCHMARK)

    def tighten(number: int) -> None:
        configuration.set_limits(AccountPlan.FREE, {"prompt_tokens": 1_000 + number}, BENCHMARK)

    def write_file(number: int) -> None:
        catalog.write_text(text + "".join(another_deployment(each) for each in range(number + 1)))

    def ask_the_api(number: int) -> None:
        body = json.dumps({"enabled": True, "percentage": number % 100}).encode()
        _send(f"{system.url}/api/v1/flags/enable_cron_backoff", admin, body)

    kinds: dict[str, tuple[Change, str]] = {
        "flag": (flip, "synthralos_config_version"),
        "limit": (tighten, "synthralos_config_version"),
        "flag_by_api": (ask_the_api, "synthralos_config_version"),
        "catalog": (write_file, "synthralos_catalog_deployments"),
    }
    seconds: dict[str, list[float]] = {}
    async with _load(system):
        for kind, (change, metric) in kinds.items():
            seconds[kind] = [await _swap(change, number, metric, ports) for number in range(rounds)]
            say(f"{kind}: {rounds} changes, at most {max(seconds[kind]):.2f} s")
    return seconds


async def _swap(change: Change, number: int, metric: str, ports: list[int]) -> float:
    """Seconds from the return of the change until every process shows it."""
    before = await _values(metric, ports)
    if len(set(before.values())) != 1:
        raise BenchmarkError(f"the processes differ before the change: {before}")
    await asyncio.to_thread(change, number)
    began = perf_counter()
    wanted = before[ports[0]] + 1
    # A process that has it already was told while the change returned.
    while any(value < wanted for value in (await _values(metric, ports)).values()):
        if perf_counter() - began > PATIENCE:
            raise BenchmarkError(f"the change is not in force after {PATIENCE:.0f} s")
        await asyncio.sleep(LOOK)
    return perf_counter() - began


async def _values(metric: str, ports: list[int]) -> Mapping[int, float]:
    """The metric's value in each process, by its port."""
    found = await asyncio.gather(*(asyncio.to_thread(_value, metric, port) for port in ports))
    return dict(zip(ports, found, strict=True))


def _value(metric: str, port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{metric} ")).split()[1])


def _send(url: str, key: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT"), timeout=PATIENCE):
        pass


@contextlib.asynccontextmanager
async def _load(system: System) -> AsyncIterator[None]:
    """Jobs are submitted as long as the body runs; afterwards the last answer is waited for."""
    over = asyncio.Event()

    async def submitting() -> None:
        async with Connection(system.url, system.key) as connection:
            while not over.is_set():
                body = job_array(system.sent, ARRAY)
                system.sent += ARRAY
                await connection.accepted(connection.encode("POST", "/api/v1/jobs", body))
                await asyncio.sleep(EVERY)

    task = asyncio.create_task(submitting())
    try:
        yield
    finally:
        over.set()
        await task


def _still_alive(server: Child) -> None:
    if not server.alive:
        raise BenchmarkError("the provider has ended")
