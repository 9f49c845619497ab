"""Runs the demo: starts the embedded system, submits, watches, and gathers what happened, all of it over HTTP."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from demo.scenarios import PLANS, Order, orders
from embedded.system import admin_key, embedded
from pipelines.providers.table import check_deployment
from synthralos.config.config import Config
from synthralos.config.credentials import SANDBOX, Credentials
from synthralos.config.settings import Settings, load_settings
from synthralos.core import Core, build_core
from synthralos.domain.deployments import Catalog
from synthralos.live_config import LiveConfig
from synthralos.store.admin.organizations import Organizations
from synthralos_client import Client, Job

CALL_TIMEOUT = 2.0
"""Seconds: a provider that hangs is left after this; shorter than in earnest, so that the demo ends soon."""

PATIENCE = 55.0
"""Seconds that all jobs together may take."""

OnProgress = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class Bill:
    """What the provider itself says that it billed: its sum in USD, by (job id, attempt number)."""

    lines: dict[tuple[str, int], Decimal]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the demo saw. `traces` are in the order of `jobs`; `wall` is in seconds."""

    orders: list[Order]
    jobs: list[Job]
    traces: list[dict[str, Any]]
    bill: Bill
    wall: float


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo runs: a system of its own, and the key to it."""

    url: str
    key: str
    bill: Path


@contextmanager
def stage(database_url: str, port: int = 0) -> Iterator[Stage]:
    """The embedded system on the database, with the sandbox alone: no provider that costs money can be reached."""
    with tempfile.TemporaryDirectory(prefix="synthralos-demo-") as folder:
        bill = Path(folder) / "bill.jsonl"
        core = _offline(build_core(_settings(database_url, port, bill), check_deployment))
        with embedded(core) as url:
            _put_on_plans(core)
            yield Stage(url, admin_key(core, "demo").secret, bill)


def perform(where: Stage, count: int | None, on_progress: OnProgress, clock: Callable[[], float]) -> Outcome:
    """Submit `count` prompts (None: all), wait until all are done, and look at every one of them."""
    begun = clock()
    placed = orders(count)
    with Client(where.url, where.key) as client:
        submitted = _submit(client, placed)
        for order, job in zip(placed, submitted, strict=True):
            if order.scenario is not None and order.scenario.cancelled:
                client.cancel(job.id, reason="the demo changed its mind")
        ids = [job.id for job in submitted]
        jobs = client.wait_many(ids, PATIENCE, lambda job, done, total: on_progress(done, total))
        wall = clock() - begun
        traces = [client.trace(job_id) for job_id in ids]
    return Outcome(placed, jobs, traces, _read_bill(where.bill, set(ids)), wall)


def _submit(client: Client, placed: list[Order]) -> list[Job]:
    """One bulk submission per organization; the jobs in the order of `placed`."""
    by_organization: dict[str, list[int]] = defaultdict(list)
    for number, order in enumerate(placed):
        by_organization[order.organization].append(number)
    jobs: dict[int, Job] = {}
    for numbers in by_organization.values():
        jobs |= dict(zip(numbers, client.submit_many(placed[n].request for n in numbers), strict=True))
    return [jobs[number] for number in range(len(placed))]


def _settings(database_url: str, port: int, bill: Path) -> Settings:
    return load_settings(
        database_url=database_url,
        broker_url="memory://",
        host="127.0.0.1",
        port=port,
        catalog_file=None,
        sandbox="on",
        sandbox_bill=bill,
        call_timeout=CALL_TIMEOUT,
        trace_export_file=None,
        log_level="ERROR",
    )


def _offline(core: Core) -> Core:
    """The same core with nothing but the sandbox's deployments, whatever keys the environment holds."""
    catalog = Catalog([deployment for deployment in core.catalog if deployment.adapter == SANDBOX])
    return replace(core, live=LiveConfig(Config(catalog, Credentials({}, catalog, "on"))))


def _put_on_plans(core: Core) -> None:
    organizations = Organizations(core.database)
    for organization, plan in PLANS.items():
        organizations.set_plan(organization, plan)


def _read_bill(path: Path, job_ids: set[str]) -> Bill:
    if not path.exists():
        return Bill({})
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    billed = [line for line in lines if line["billed"] and line["job_id"] in job_ids]
    return Bill({(line["job_id"], line["attempt_no"]): Decimal(line["cost_usd"]) for line in billed})
