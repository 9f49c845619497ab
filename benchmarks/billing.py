"""The ledger beside the bill of a provider that fails, cuts streams, is late and repeats, while workers are killed.

For calls whose answers came the two must not differ by a cent; every other call that the provider bills must be marked
as perhaps billed; and hardly any job may have been answered twice.
"""

import contextlib
import json
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.billing_provider import LATE_SECONDS
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.processes import Child, wait_until
from benchmarks.provider import deployment_of, provider_process
from benchmarks.report import BenchmarkError, figure, say
from benchmarks.system import ARRAY, Shape, System, process, running
from benchmarks.workload import job

JOBS, JOBS_SMOKE = 20_000, 80
KILLS, KILLS_SMOKE = 4, 1
WORKERS = 2

PRICES = {"first": (Decimal(1), Decimal(2)), "second": (Decimal(3), Decimal(4))}
"""USD per million tokens of prompt and answer."""

_MILLION = Decimal(1_000_000)
_PATIENCE = 1_800.0
"""Seconds that a part of the run may take on a machine that others use too."""

_SETTINGS = {
    "WORKER_PROCESSES": "1",
    "HEARTBEAT_INTERVAL": "0.5",
    "WORKER_LOST_AFTER": "20",  # a busy machine holds a living worker up for seconds, and all its calls are made twice
    "MAX_LOSSES": "100",
    "FLIGHT_SLOTS": "200",
    "RING_AGAIN_AFTER": "2",
}

Call = tuple[str, int]
"""Job id, number of the attempt."""

Books = Mapping[Call, Mapping[str, Any]]


def main(smoke: bool) -> None:
    """All jobs come to their end; then the books are compared, call by call."""
    jobs, kills = (JOBS_SMOKE, KILLS_SMOKE) if smoke else (JOBS, KILLS)
    with (
        _provider() as (base_url, catalog),
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape(worker_processes=0), **_SETTINGS) as system,
        contextlib.ExitStack() as stack,
    ):
        workers = [_worker(system, stack) for _ in range(WORKERS)]
        _until_workers(system, WORKERS)
        system.post([_bodies(first, min(ARRAY, jobs - first)) for first in range(0, jobs, ARRAY)])
        for number in range(kills):
            _until_called(base_url, (number + 1) * jobs // (kills + 1), workers)
            workers[number % WORKERS].stop(0)
            workers[number % WORKERS] = _worker(system, stack)
        system.until_finished(_PATIENCE)
        bill, ledger = _bill(base_url), _ledger(system)
        states = dict(system.connection.execute("SELECT state, count(*) FROM results GROUP BY state").fetchall())
    _tell(jobs, bill, ledger, states)


def _tell(jobs: int, bill: Books, ledger: Books, states: Mapping[Any, Any]) -> None:
    certain = {call for call, booked in ledger.items() if booked["billed"] == "yes"}
    billed = {call for call, line in bill.items() if line["input_tokens"]}
    difference = sum((ledger[call]["cost"] or Decimal(0)) - _cost(bill.get(call)) for call in certain)
    wrong = [call for call in certain if ledger[call]["cost"] != _cost(bill.get(call))]
    unmarked = [call for call in billed if ledger.get(call, {"billed": "no"})["billed"] == "no"]
    answered = Counter(job_id for (job_id, _), line in bill.items() if line["answered"])
    twice = sum(count > 1 for count in answered.values())
    booked_twice = Counter(job_id for (job_id, _), booked in ledger.items() if booked["outcome"] == "succeeded")
    fates = Counter(line["fate"] for line in bill.values())
    outcomes = Counter((booked["outcome"], booked["billed"]) for booked in ledger.values())
    say(f"{jobs} jobs: {states}; {len(bill)} calls: {dict(fates)}")
    say(f"on the books: { {f'{outcome}, billed {marked}': count for (outcome, marked), count in outcomes.items()} }")
    if late := sum(count > 1 for count in booked_twice.values()):
        say(f"{late} jobs have two answers on the books: a worker was declared lost while it lived")
    if sum(states.values()) != jobs:
        raise BenchmarkError(f"{jobs} jobs were sent, {sum(states.values())} have come to an end")
    if wrong:
        say(f"{len(wrong)} calls differ: {[(c, str(ledger[c]['cost']), str(_cost(bill.get(c)))) for c in wrong[:3]]}")
    if unmarked:
        say(f"billed and not marked: {[(call, bill[call]['fate']) for call in unmarked[:3]]}")
    figure("ledger_minus_bill_usd", float(difference), "USD")
    figure("answered_calls_that_differ", len(wrong), "calls")
    figure("unmarked", len(unmarked), "calls")
    figure("duplicate_share", round(twice / jobs, 6), "")
    figure("calls_not_on_bill", len(certain - bill.keys()), "calls")


def _cost(line: Mapping[str, Any] | None) -> Decimal:
    """What the provider bills for a call."""
    if line is None:
        return Decimal(0)
    prompt, answer = PRICES[line["model"]]
    return (line["input_tokens"] * prompt + line["output_tokens"] * answer) / _MILLION


def _bodies(first: int, count: int) -> bytes:
    """Submissions of which every fourth job is streamed."""
    requests = [job(number) for number in range(first, first + count)]
    for number, request in enumerate(requests, first):
        if number % 4 == 0:
            request["stream"] = True
    return json.dumps(requests).encode()


def _worker(system: System, stack: contextlib.ExitStack) -> Child:
    return stack.enter_context(process("workers", system.environment))


def _until_workers(system: System, count: int) -> None:
    running_now = "SELECT count(*) FROM processes WHERE kind = 'worker' AND state = 'running'"
    wait_until(lambda: system.number(running_now) >= count, "the workers", list(system.children.values()))


def _until_called(base_url: str, count: int, workers: Sequence[Child]) -> None:
    wait_until(lambda: int(_got(base_url, "/count")) >= count, f"{count} calls", workers, _PATIENCE)


def _bill(base_url: str) -> dict[Call, dict[str, Any]]:
    return {(line["job_id"], line["attempt_no"]): line for line in json.loads(_got(base_url, "/bill"))}


def _got(base_url: str, path: str) -> bytes:
    with urllib.request.urlopen(f"{base_url}{path}", timeout=60) as answer:
        found: bytes = answer.read()
        return found


def _ledger(system: System) -> dict[Call, dict[str, Any]]:
    """Every call on the books, with its cost in USD."""
    query = "SELECT job_id::text, attempt_no, outcome, billed, cost_picousd FROM attempts"
    return {
        (str(job_id), int(str(number))): {
            "outcome": outcome,
            "billed": billed,
            "cost": None if cost is None else Decimal(str(cost)).scaleb(-12),
        }
        for job_id, number, outcome, billed, cost in system.connection.execute(query)
    }


def _provider() -> AbstractContextManager[tuple[str, Path]]:
    """The provider's address, and a catalog of its two models."""
    # What takes more than half of the time-out is slow to circuit breakers: good answers on a busy machine must not be.
    more = f"timeout = {LATE_SECONDS * 0.6}\nmax_in_flight = 1000"
    deployments = "".join(deployment_of(model, price, more) for model, price in PRICES.items())
    return provider_process("benchmarks.billing_provider", deployments)
