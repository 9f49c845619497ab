"""Guards that need the network: one bounded wait for a batch, each with its own limit and bugs."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from pipelines.guard.remote import Findings, RemoteGuard, RemoteGuards
from pipelines.guard.stage import GuardStage
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job
from tests.fakes.stage_jobs import a_job
from workers.event_loop import EventLoopThread


class Remote:
    """Flags every job but those whose prompt is `unwanted`."""

    def __init__(self, name: str = "remote", decision: Decision = Decision.FLAG) -> None:
        self.name = name
        self.seconds = 30.0
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self._decision = decision

    def wants(self, job: Job) -> bool:
        return job.request.texts() != ["unwanted"]

    async def inspect(self, jobs: Sequence[Job]) -> Findings:
        self.threads.add(threading.get_ident())
        self.batches.append([job.request.texts()[0] for job in jobs])
        return [Finding(self.name, self._decision, "seen", defer_seconds=1.0) for _ in jobs]

    def unseen(self, why: str) -> Finding:
        return Finding(self.name, Decision.DEFER, why, defer_seconds=1.0)


class Hangs(Remote):
    """Never answers."""

    cancelled = False

    async def inspect(self, jobs: Sequence[Job]) -> Findings:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise AssertionError


class Raises(Remote):
    async def inspect(self, jobs: Sequence[Job]) -> Findings:
        raise ZeroDivisionError


class Forgets(Remote):
    async def inspect(self, jobs: Sequence[Job]) -> Findings:
        return []


@pytest.fixture
def loop() -> Iterator[EventLoopThread]:
    thread = EventLoopThread("remote")
    thread.start()
    yield thread
    thread.stop()


def decisions(found: list[list[Finding]]) -> list[list[tuple[str, Decision]]]:
    return [[(finding.guard, finding.decision) for finding in each] for each in found]


def guarded(loop: EventLoopThread, *guards: RemoteGuard) -> RemoteGuards:
    return RemoteGuards(guards, loop.result)


def test_all_guards_see_the_batch_on_the_loop(loop: EventLoopThread) -> None:
    one, two = Remote("one"), Remote("two")
    found = guarded(loop, one, two).inspect([a_job("a"), a_job("unwanted"), a_job("b")])
    both = [("one", Decision.FLAG), ("two", Decision.FLAG)]
    assert decisions(found) == [both, [], both]
    assert one.batches == two.batches == [["a", "b"]]
    assert one.threads == two.threads
    assert threading.get_ident() not in one.threads


def test_where_nobody_wants_a_job_the_loop_is_not_asked() -> None:
    stopped = EventLoopThread("never started")
    try:
        assert guarded(stopped, Remote()).inspect([a_job("unwanted")] * 3) == [[], [], []]
        assert guarded(stopped).inspect([a_job("a")]) == [[]]
    finally:
        stopped.loop.close()


@pytest.mark.parametrize("broken", [Raises("broken"), Forgets("broken")])
def test_a_bug_is_its_guards_alone(loop: EventLoopThread, broken: Remote) -> None:
    found = guarded(loop, broken, Remote("well")).inspect([a_job("a")])
    assert decisions(found) == [[("broken", Decision.DEFER), ("well", Decision.FLAG)]]


def test_a_guard_that_hangs_is_over_with_its_own_time(loop: EventLoopThread) -> None:
    hanging = Hangs("hangs")
    hanging.seconds = 0.01
    found = guarded(loop, hanging, Remote("well")).inspect([a_job("a"), a_job("b")])
    assert decisions(found) == [[("hangs", Decision.DEFER), ("well", Decision.FLAG)]] * 2
    assert hanging.cancelled


def test_a_loop_that_hangs_holds_the_thread_for_the_budget_alone(loop: EventLoopThread) -> None:
    released = threading.Event()
    loop.call(released.wait, 30)
    guard = Remote()
    guard.seconds = 0.01
    try:
        assert decisions(guarded(loop, guard).inspect([a_job("a")])) == [[("remote", Decision.DEFER)]]
    finally:
        released.set()


def test_a_loop_that_is_closed_is_told_by_the_guards() -> None:
    closed = EventLoopThread("closed")
    closed.start()
    closed.stop()
    assert decisions(guarded(closed, Remote()).inspect([a_job("a")])) == [[("remote", Decision.DEFER)]]


class Stops:
    """Denies or lets through, as the prompt says."""

    name = "stops"

    def inspect(self, jobs: Sequence[Job]) -> Findings:
        return [
            Finding(self.name, Decision.DENY, "so it says") if job.request.texts() == ["deny"] else None for job in jobs
        ]


def test_they_see_only_jobs_that_no_guard_stopped_and_gates_those_that_they_let_through(loop: EventLoopThread) -> None:
    remote, gate = Remote(decision=Decision.DENY), Remote("gate")
    remotes = guarded(loop, remote)

    class Gate(Stops):
        def inspect(self, jobs: Sequence[Job]) -> Findings:
            gate.batches.append([job.request.texts()[0] for job in jobs])
            return [None for _ in jobs]

    stage = GuardStage([Stops()], [Gate()], remotes=remotes)
    verdicts = stage.inspect([a_job("deny"), a_job("a"), a_job("unwanted")])
    assert [verdict.decision for verdict in verdicts] == [Decision.DENY, Decision.DENY, Decision.ALLOW]
    assert [[finding.guard for finding in verdict.findings] for verdict in verdicts] == [["stops"], ["remote"], []]
    assert remote.batches == [["a"]]
    assert gate.batches == [["unwanted"]]
