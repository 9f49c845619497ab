"""A slow interactive call is made a second time elsewhere where a policy allows it: the first answer counts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipelines.flow.hedging import SAVED, HedgeBudget
from pipelines.flow.work import Work
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Billed, Outcome, Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision, Verdict
from synthralos.domain.jobs import Constraints
from synthralos.domain.money import Usage
from synthralos.domain.overlays import Overlay
from synthralos.domain.states import Lane, Stage, Transition
from synthralos.domain.writes import Refused, Settlement, Start, StartResult, Written
from tests.fakes.flow import FIRST, SECOND, Scene
from tests.fakes.stage_jobs import NOON, a_job, a_plan

HEDGED = Verdict(Decision.ALLOW, (), Overlay(hedge=True))
SUCCESS = (Transition.SUCCEED, Stage.ANALYZE)
BROKEN = Failure(FailureClass.SERVER_ERROR, "out of order")


def hedged(*steps: str, **changes: Any) -> Work:
    job = a_job(routing=a_plan(*(steps or (FIRST, SECOND))))
    job = replace(job, **{"lane": Lane.INTERACTIVE, "verdict": HEDGED, **changes})
    return Work(job, NOON, lane=job.lane)


class Slow(Scene):
    """A scene whose calls are answered when the test says so; the first deployment was quick so far."""

    def __init__(self, **more: Any) -> None:
        super().__init__(max_in_flight=10, **more)
        for _ in range(5):
            self.stages.latencies.learn(FIRST, 0.01)
        self.answers: dict[str, asyncio.Future[Reply | Failure]] = {}
        self.cut_at: list[str] = []
        self.came = asyncio.Event()
        self.wanted = 2
        self.answering = self._answer

    async def _answer(self, call: Call) -> Reply | Failure:
        future = self.answers[call.deployment.id] = asyncio.get_running_loop().create_future()
        if len(self.answers) == self.wanted:
            self.came.set()
        try:
            return await future
        except asyncio.CancelledError:
            self.cut_at.append(call.deployment.id)
            raise

    def say(self, deployment: str, answer: Reply | Failure | None = None) -> None:
        self.answers[deployment].set_result(answer or Reply(f"from {deployment}", Usage(3, 2), "stop", "fake"))

    async def run_hedged(self, work: Work, then: Callable[[], Awaitable[object] | None]) -> None:
        """Run the job; when both calls are under way, go on with `then`."""
        self.batch.run([work])
        await asyncio.wait_for(self.came.wait(), 10)
        waiting = then()
        if waiting is not None:
            await waiting
        await asyncio.wait_for(self.registry.emptied(), 10)

    @property
    def last(self) -> Settlement:
        return self.settled[-1]


def ends(settlement: Settlement) -> dict[int, tuple[Outcome, Billed]]:
    """What it says of attempts, the one that was written off among them."""
    both = [each.attempt for each in (settlement, settlement.late) if each is not None]
    return {end.attempt_no: (end.outcome, end.billed) for end in both if end is not None}


def test_the_first_call_is_written_off_and_the_second_booked_before_that_is_made() -> None:
    async def scenario() -> None:
        scene = Slow()
        await scene.run_hedged(hedged(), lambda: scene.say(SECOND))
        assert [(start.attempt_no, start.deployment.id) for start in scene.begun] == [(1, FIRST), (2, SECOND)]
        written_off = scene.settled[0]
        assert (written_off.transition, ends(written_off)) == (
            Transition.CONTINUE, {1: (Outcome.LOST, Billed.MAYBE)},
        )  # fmt: skip
        assert [call.attempt_no for call in scene.calls] == [1, 2]

    asyncio.run(scenario())


def test_the_second_answer_counts_where_it_comes_first_and_the_first_call_is_cut() -> None:
    async def scenario() -> None:
        scene = Slow()
        await scene.run_hedged(hedged(), lambda: scene.say(SECOND))
        assert [s.transition for s in scene.settled] == [Transition.CONTINUE, Transition.SUCCEED]
        assert scene.last.result is not None
        assert (scene.last.result["text"], scene.last.result["deployment"]) == (f"from {SECOND}", SECOND)
        assert ends(scene.last) == {2: (Outcome.SUCCEEDED, Billed.YES), 1: (Outcome.CANCELLED, Billed.MAYBE)}
        assert scene.cut_at == [FIRST]
        assert scene.deployments.calls() == 0

    asyncio.run(scenario())


def test_the_first_answer_counts_where_it_comes_first_after_all() -> None:
    async def scenario() -> None:
        scene = Slow()
        await scene.run_hedged(hedged(), lambda: scene.say(FIRST))
        assert scene.last.result is not None
        assert scene.last.result["deployment"] == FIRST
        assert ends(scene.last) == {2: (Outcome.CANCELLED, Billed.MAYBE), 1: (Outcome.SUCCEEDED, Billed.YES)}
        late = scene.last.late
        assert late is not None
        assert late.attempt is not None
        assert late.attempt.cost is not None
        assert scene.last.attempt is not None
        assert scene.last.attempt.attempt_no == 2
        assert (scene.cut_at, scene.deployments.calls()) == ([SECOND], 0)

    asyncio.run(scenario())


@pytest.mark.parametrize("failing", [FIRST, SECOND])
def test_where_one_fails_the_other_one_is_waited_for(failing: str) -> None:
    async def scenario() -> None:
        scene = Slow()
        other = SECOND if failing == FIRST else FIRST

        async def one_after_the_other() -> None:
            scene.say(failing, BROKEN)
            await asyncio.sleep(0)
            scene.say(other)

        await scene.run_hedged(hedged(), one_after_the_other)
        assert scene.last.result is not None
        assert scene.last.result["deployment"] == other
        failed, fine = (1, 2) if failing == FIRST else (2, 1)
        assert ends(scene.last) == {failed: (Outcome.FAILED, Billed.NO), fine: (Outcome.SUCCEEDED, Billed.YES)}

    asyncio.run(scenario())


def test_both_answers_at_once_are_one_result_and_both_are_booked() -> None:
    async def scenario() -> None:
        scene = Slow()

        def both() -> None:
            scene.say(FIRST)
            scene.say(SECOND)

        await scene.run_hedged(hedged(), both)
        assert [s.transition for s in scene.settled].count(Transition.SUCCEED) == 1
        assert {end[0] for end in ends(scene.last).values()} == {Outcome.SUCCEEDED}

    asyncio.run(scenario())


def test_where_both_fail_heal_looks_at_it_and_both_are_booked() -> None:
    async def scenario() -> None:
        scene = Slow()

        async def both() -> None:
            scene.say(FIRST, BROKEN)
            await asyncio.sleep(0)
            scene.say(SECOND, Failure(FailureClass.INVALID_REQUEST, "no"))

        await scene.run_hedged(hedged(), both)
        assert scene.last.transition is Transition.FAIL
        assert scene.last.failure is not None
        assert scene.last.failure["class"] == "invalid_request"
        assert ends(scene.last) == {1: (Outcome.FAILED, Billed.NO), 2: (Outcome.FAILED, Billed.NO)}

    asyncio.run(scenario())


def test_a_job_that_is_called_off_cuts_both_calls_and_both_may_have_been_billed() -> None:
    async def scenario() -> None:
        scene, work = Slow(), hedged()
        await scene.run_hedged(work, lambda: scene.cut(work.job))
        assert scene.last.transition is Transition.RELEASE
        assert ends(scene.last) == {1: (Outcome.CANCELLED, Billed.MAYBE), 2: (Outcome.CANCELLED, Billed.MAYBE)}
        assert sorted(scene.cut_at) == [FIRST, SECOND]
        assert scene.deployments.calls() == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "work",
    [
        hedged(lane=Lane.BULK),
        hedged(verdict=Verdict(Decision.ALLOW)),
        hedged(FIRST),
        hedged(constraints=Constraints(max_attempts=1)),
        hedged(constraints=Constraints(exclude=(SECOND,), max_cost=Decimal("0.0000001"))),
    ],
    ids=["bulk", "no policy", "nowhere else", "one call", "no money"],
)
def test_who_may_not_make_two_calls_makes_one(work: Work) -> None:
    async def scenario() -> None:
        scene = Slow()
        scene.wanted = 1
        scene.batch.run([work])
        if work.job.constraints.max_cost is None:
            await asyncio.wait_for(scene.came.wait(), 10)
            await asyncio.sleep(0.1)  # longer than the first deployment ever took
            scene.say(FIRST)
        await scene.registry.emptied()
        assert len(scene.begun) <= 1
        assert all(settlement.late is None for settlement in scene.settled)

    asyncio.run(scenario())


def test_nothing_is_hedged_while_nobody_knows_how_long_calls_take() -> None:
    async def scenario() -> None:
        scene = Slow()
        scene.wanted = 1
        work = hedged(SECOND, FIRST)  # of which nothing was seen yet
        scene.batch.run([work])
        await scene.came.wait()
        await asyncio.sleep(0.1)
        scene.say(SECOND)
        await scene.registry.emptied()
        assert len(scene.begun) == 1

    asyncio.run(scenario())


def test_where_a_budget_has_no_room_the_first_call_goes_on_alone() -> None:
    async def scenario() -> None:
        scene, refused = Slow(), asyncio.Event()
        scene.wanted = 1

        start = scene.start

        async def full(asked: Start) -> StartResult:
            if asked.attempt_no == 1:
                return await start(asked)
            refused.set()
            return Refused("small")

        scene.start = full  # type: ignore[method-assign]
        scene.batch.run([hedged()])
        await asyncio.wait_for(refused.wait(), 10)
        scene.say(FIRST)
        await scene.registry.emptied()
        assert scene.last.transition is Transition.SUCCEED
        assert scene.last.attempt is None
        assert ends(scene.last) == {1: (Outcome.SUCCEEDED, Billed.YES)}
        assert (len(scene.calls), scene.deployments.calls()) == (1, 0)

    asyncio.run(scenario())


def test_a_job_that_is_lost_while_the_second_call_is_booked_makes_none() -> None:
    async def scenario() -> None:
        scene = Slow()
        scene.wanted = 1
        start = scene.start

        async def lost(asked: Start) -> StartResult:
            return await start(asked) if asked.attempt_no == 1 else Written.CLAIM_LOST

        scene.start = lost  # type: ignore[method-assign]
        scene.batch.run([hedged()])
        await asyncio.wait_for(scene.registry.emptied(), 10)
        assert (scene.cut_at, len(scene.calls), scene.deployments.calls()) == ([FIRST], 1, 0)
        assert [s.transition for s in scene.settled] == [Transition.CONTINUE]

    asyncio.run(scenario())


def test_one_call_in_twenty_may_be_hedged_and_not_many_at_once() -> None:
    budget = HedgeBudget()
    hedges = 0
    for _ in range(1_000):
        budget.called()
        hedges += budget.take()
    assert 50 <= hedges <= 51
    for _ in range(10_000):
        budget.called()
    assert sum(budget.take() for _ in range(100)) == SAVED


def test_a_second_call_that_was_booked_too_late_is_not_made_and_costs_nothing() -> None:
    async def scenario() -> None:
        scene = Slow()
        scene.wanted = 1

        async def answer_meanwhile() -> None:
            if scene.begun:
                scene.say(FIRST)
                await asyncio.sleep(0.01)

        scene.booking = answer_meanwhile
        await scene.run_hedged(hedged(), lambda: None)
        assert [call.attempt_no for call in scene.calls] == [1]
        assert ends(scene.last) == {1: (Outcome.SUCCEEDED, Billed.YES), 2: (Outcome.CANCELLED, Billed.NO)}
        assert scene.deployments.calls() == 0

    asyncio.run(scenario())
