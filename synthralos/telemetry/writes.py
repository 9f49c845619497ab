"""Counting what is written: group commits by their batches, and jobs and attempts as the books have them.

A batch is summed up first and counted once. What is counted here was durable before, so that the metrics agree with
the ledger; after a crash between the two it is the ledger that is right.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from synthralos.domain.attempts import AttemptEnd, Outcome
from synthralos.domain.deployments import Deployment
from synthralos.domain.states import TERMINAL, Lane, State
from synthralos.domain.writes import Settlement, Written
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Metrics

TOKEN_KINDS = ("input", "cached", "cache_write", "output", "reasoning")
"""The fields of `Usage`."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Flush = Callable[[Sequence[Item]], Sequence[Result]]


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def measured(metrics: Metrics, name: str, flush: "Flush[Item, Result]") -> "Flush[Item, Result]":
    """The same flush of the group commit `name`, timed and counted."""
    seconds = metrics.histogram(families.FLUSH_SECONDS).labels(name)
    items = metrics.histogram(families.FLUSH_ITEMS).labels(name)
    failures = metrics.counter(families.FLUSH_FAILURES).labels(name)

    def timed(batch: Sequence[Item]) -> Sequence[Result]:
        began = time.perf_counter()
        try:
            results = flush(batch)
        except Exception:
            failures.inc()
            raise
        seconds.observe(time.perf_counter() - began)
        items.observe(len(batch))
        return results

    return timed


class JobCounts:
    """Counts jobs that are accepted, moved and ended, and the calls that were made for them. Thread-safe."""

    def __init__(self, metrics: Metrics, now: Callable[[], datetime] = utc_now) -> None:
        """`now` is the clock of jobs' times."""
        self._now = now
        self._accepted = metrics.counters(families.ACCEPTED)
        self._ended = metrics.counters(families.ENDED)
        self._settled = metrics.counters(families.SETTLED)
        self._seconds = metrics.histograms(families.JOB_SECONDS)
        self._claims_lost = metrics.counter(families.CLAIMS_LOST)
        self._calls = CallCounts(metrics)

    def accepted(self, lanes: Iterable[Lane]) -> None:
        """Jobs of these lanes were stored."""
        for lane, count in Counter(lanes).items():
            self._accepted[lane,].inc(count)

    def ended(self, lane: Lane, state: State, count: int = 1) -> None:
        """So many jobs came to an end."""
        self._ended[lane, state].inc(count)

    def settled(self, settlements: Sequence[Settlement], results: Sequence[Written]) -> None:
        """A batch of settlements was written, with these results. A call is on the books whether or not it was ours."""
        written = [s for s, result in zip(settlements, results, strict=True) if result is Written.DONE]
        moves = Counter((s.job.stage, s.job.lane, s.transition) for s in written)
        over = [s for s in written if s.state in TERMINAL]
        now = self._now()
        for lane in {s.job.lane for s in over}:
            ages = [(now - s.job.created_at).total_seconds() for s in over if s.job.lane is lane]
            self._seconds[lane,].observe_all([max(0.0, age) for age in ages])
        for move, count in moves.items():
            self._settled[move].inc(count)
        for (lane, state), count in Counter((s.job.lane, s.state) for s in over).items():
            self.ended(lane, state, count)
        if len(written) < len(settlements):
            self._claims_lost.inc(len(settlements) - len(written))
        self._calls.ended(_ended(settlements))


class AlertCounts:
    """Counts the thresholds of budgets that were told of."""

    def __init__(self, metrics: Metrics) -> None:
        self._alerts = metrics.counters(families.BUDGET_ALERTS)

    def told(self, percents: Iterable[int]) -> None:
        """These percentages of budgets' limits were come to."""
        for percent, count in Counter(percents).items():
            self._alerts[str(percent),].inc(count)


class CallCounts:
    """Counts provider calls as they are booked."""

    def __init__(self, metrics: Metrics) -> None:
        self._attempts = metrics.counters(families.ATTEMPTS)
        self._seconds = metrics.histograms(families.CALL_SECONDS)
        self._first_tokens = metrics.histograms(families.FIRST_TOKEN_SECONDS)
        self._tokens = metrics.counters(families.TOKENS)
        self._call_tokens = metrics.histograms(families.CALL_TOKENS)
        self._cost = metrics.counters(families.COST)
        self._unpriced = metrics.counters(families.UNPRICED)

    def ended(self, calls: Iterable[tuple[Deployment, AttemptEnd]]) -> None:
        """These calls have ended."""
        by_deployment: defaultdict[tuple[str, str], list[AttemptEnd]] = defaultdict(list)
        for deployment, end in calls:
            by_deployment[deployment.provider, deployment.id].append(end)
        for where, ends in by_deployment.items():
            self._count(where, ends)

    def _count(self, where: tuple[str, str], ends: Sequence[AttemptEnd]) -> None:
        """The calls of one deployment."""
        self._seconds[where].observe_all([end.seconds for end in ends])
        if firsts := [end.first_token for end in ends if end.first_token is not None]:
            self._first_tokens[where].observe_all(firsts)
        for (outcome, failure), count in Counter(map(_outcome, ends)).items():
            self._attempts[(*where, outcome, failure)].inc(count)
        costs = [end.cost for end in ends if end.cost is not None]
        self._cost[where].inc(float(sum(costs)))
        if len(costs) < len(ends):
            self._unpriced[where].inc(len(ends) - len(costs))
        usages = [end.usage for end in ends if end.usage is not None]
        for kind in ("input", "output"):
            self._call_tokens[(*where, kind)].observe_all([getattr(usage, kind) for usage in usages])
        for kind in TOKEN_KINDS:
            if tokens := sum(getattr(usage, kind) for usage in usages):
                self._tokens[(*where, kind)].inc(tokens)


def _ended(settlements: Sequence[Settlement]) -> Iterator[tuple[Deployment, AttemptEnd]]:
    """The calls that have ended; one that was written off as another one follows is told of when its end is known."""
    for settlement in settlements:
        for each in (settlement, settlement.late):
            if each is None or each.attempt is None or each.deployment is None:
                continue
            if each.attempt.outcome is not Outcome.LOST:
                yield each.deployment, each.attempt


def _outcome(end: AttemptEnd) -> tuple[str, str]:
    return end.outcome, "" if end.failure is None else end.failure.failure_class
