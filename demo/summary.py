"""The demo's figures, from what the API answered. Money is exact; times are in seconds."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from demo.run import Outcome
from demo.scenarios import SHOWN
from synthralos_client import Job

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """What one deployment did: calls, tokens, and their cost in USD."""

    calls: int = 0
    failed: int = 0
    input: int = 0
    output: int = 0
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Writer:
    """Our ledger beside the provider's bill, in USD.

    `sure` is what our ledger knows; `maybe` the attempts that it marks as possibly billed, and `maybe_billed` what
    the provider billed for exactly those. `agree`: every line of the bill is on our books, with the same amount.
    """

    ledger: Decimal
    bill: Decimal
    maybe: int
    maybe_billed: Decimal
    agree: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """What the demo shows. `troubles` has, by scenario, the states that its jobs ended in."""

    jobs: int
    states: Counter[str]
    troubles: dict[str, Counter[str]]
    attempts: int
    retries: int
    fallbacks: int
    failures: Counter[str]
    models: dict[str, ModelFigures]
    latency: Figures
    undisturbed: Figures
    added: Figures
    books: Writer
    wall: float
    shown: Job
    shown_trace: dict[str, Any]


def summarize(outcome: Outcome) -> Summary:
    """Count it all."""
    calls = [attempts_of(trace) for trace in outcome.traces]
    quiet = [n for n, order in enumerate(outcome.orders) if order.scenario is None and outcome.jobs[n].succeeded]
    latencies = [_seconds(job) for job in outcome.jobs]
    working = [sum(float(call["seconds"] or 0) for call in attempts) for attempts in calls]
    shown = next((n for n, order in enumerate(outcome.orders) if order.scenario and order.scenario.name == SHOWN), 0)
    return Summary(
        jobs=len(outcome.jobs),
        states=Counter(job.state for job in outcome.jobs),
        troubles=_troubles(outcome),
        attempts=sum(map(len, calls)),
        retries=sum(_pairs(attempts, same=True) for attempts in calls),
        fallbacks=sum(_pairs(attempts, same=False) for attempts in calls),
        failures=Counter(call["failure"]["class"] for attempts in calls for call in attempts if call["failure"]),
        models=_models([call for attempts in calls for call in attempts]),
        latency=percentiles([latencies[n] for n, job in enumerate(outcome.jobs) if job.succeeded]),
        undisturbed=percentiles([latencies[n] for n in quiet]),
        added=percentiles([latencies[n] - working[n] for n in quiet]),
        books=_books(outcome, calls),
        wall=outcome.wall,
        shown=outcome.jobs[shown],
        shown_trace=outcome.traces[shown],
    )


def attempts_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """The attributes of a trace's attempts, in order."""
    return [span["attributes"] for span in trace["jobs"][0]["spans"] if span["kind"] == "attempt"]


def percentiles(values: list[float]) -> Figures:
    """p50, p95 and p99 by the nearest-rank method; nothing where there are no values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"p{percent}": ordered[-(-percent * len(ordered) // 100) - 1] for percent in (50, 95, 99)}


def _seconds(job: Job) -> float:
    assert job.created_at is not None
    assert job.finished_at is not None
    return (job.finished_at - job.created_at).total_seconds()


def _troubles(outcome: Outcome) -> dict[str, Counter[str]]:
    troubles: dict[str, Counter[str]] = defaultdict(Counter)
    for order, job in zip(outcome.orders, outcome.jobs, strict=True):
        if order.scenario is not None:
            troubles[order.scenario.name][job.state] += 1
    return dict(troubles)


def _pairs(attempts: list[dict[str, Any]], *, same: bool) -> int:
    """How often the next attempt went to the same deployment, or to another."""
    places = [call["deployment"] for call in attempts]
    return sum((first == second) is same for first, second in pairwise(places))


def _models(calls: list[dict[str, Any]]) -> dict[str, ModelFigures]:
    models: dict[str, ModelFigures] = defaultdict(ModelFigures)
    for call in calls:
        so_far, usage = models[call["deployment"]], call["usage"] or {"input": 0, "output": 0}
        models[call["deployment"]] = ModelFigures(
            so_far.calls + 1,
            so_far.failed + (call["outcome"] != "succeeded"),
            so_far.input + usage["input"],
            so_far.output + usage["output"],
            so_far.cost + Decimal(call["cost_usd"] or 0),
        )
    return dict(sorted(models.items()))


def _books(outcome: Outcome, calls: list[list[dict[str, Any]]]) -> Writer:
    ours = {
        (job.id, call["attempt_no"]): call
        for job, attempts in zip(outcome.jobs, calls, strict=True)
        for call in attempts
        if call["billed"] != "no"
    }
    maybe = {key for key, call in ours.items() if call["billed"] == "maybe"}
    bill = outcome.bill.lines
    sure = {key: Decimal(call["cost_usd"] or 0) for key, call in ours.items() if key not in maybe}
    return Writer(
        ledger=sum(sure.values(), Decimal(0)),
        bill=sum(bill.values(), Decimal(0)),
        maybe=len(maybe),
        maybe_billed=sum((bill.get(key, Decimal(0)) for key in maybe), Decimal(0)),
        agree=sure == {key: cost for key, cost in bill.items() if key not in maybe},
    )
