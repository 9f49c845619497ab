"""What a failed job does next: heal says it, and here it is done as far as it is done in this process."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from pipelines.flow.calls import Calls
from pipelines.flow.gates import Gates
from pipelines.flow.settling import Settling
from pipelines.flow.stages import StagesNow
from pipelines.flow.telling import told_before_it_broke
from pipelines.flow.work import Ending, Next, Repair, Work, ending_of
from pipelines.heal.protocol import AskAgain, Case, NextDeployment, NextKey, Treatment
from synthralos.domain.attempts import PastAttempt
from synthralos.domain.events import Event, FailureFields, Healed, RepairAsked
from synthralos.domain.failures import Failure, FailureClass, Rejected
from synthralos.domain.repairs import NewRepair
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Written

Histories = Callable[[Sequence[str]], Awaitable[dict[str, list[PastAttempt]]]]


class Healer:
    """Asks heal about jobs, one by one, and goes by what it says. Lives on the event loop."""

    def __init__(
        self,
        serves: frozenset[Stage],
        calls: Calls,
        settling: Settling,
        gates: Gates,
        stages: StagesNow,
        histories: Histories,
        now: Callable[[], datetime],
    ) -> None:
        self._serves, self._calls, self._settling, self._gates = serves, calls, settling, gates
        self._stages, self._histories, self._now = stages, histories, now

    async def heal(self, work: Work, failure: Failure) -> Next | Ending:
        """How the job leaves by its failure, or whether another attempt follows."""
        job = work.job
        if told_before_it_broke(work):
            return Ending(Transition.FAIL, Stage.ANALYZE, failure=failure)
        if Stage.HEAL not in self._serves:
            return Ending(Transition.HAND_OVER, Stage.HEAL, failure=failure)
        repair, work.repair = work.repair, None
        remedy, treatment, rejected = await self._treated(work, failure, repair)
        if isinstance(treatment, AskAgain) and work.attempt is not None:
            self._calls.ask_again(work, rejected, elsewhere=rejected is failure.rejected)
        self._tell(work, remedy, treatment, failure)
        if isinstance(treatment, NextDeployment):
            return await self._continue(work, treatment.cursor)
        if isinstance(treatment, NextKey | AskAgain):
            return await self._continue(work, work.plan.cursor)
        ending = ending_of(treatment, job, failure, self._now())
        if ending.repair is not None:
            work.events.append(_asked(ending.repair, job.attempts))
        return ending

    async def _treated(
        self, work: Work, failure: Failure, repair: Repair | None
    ) -> tuple[str, Treatment, Rejected | None]:
        """The remedy and the treatment, and the answer that the next call may be told of."""
        if repair is not None and repair.plan is not None and _answer_is_unrepaired(work, failure):
            reason = f"{failure.failure_class} where the answer was to be repaired: ask the deployment that gave it"
            return "ask_again", AskAgain(reason), repair.rejected
        history = await self._history(work, failure)
        shut = frozenset[str]() if work.attempt is None else self._gates.shut_keys(work.attempt.deployment)
        case = Case(work.job, failure, history, self._now(), shut, self._gates.stackstorm_shut)
        [(remedy, treatment)] = self._stages().heal.treat([case])
        return remedy, treatment, failure.rejected

    def _tell(self, work: Work, remedy: str, treatment: Treatment, failure: Failure) -> None:
        plan = None if work.repair is None else work.repair.plan
        reason = treatment.reason
        if plan is not None:
            reason += f"; its answer is repaired by {plan.steps[0].deployment}"
        named: dict[str, Any] = {"remedy": remedy, "treatment": type(treatment).__name__, "reason": reason}
        work.span("heal", self._now(), failure=failure.failure_class, **named)
        told = Healed(**named, failure=FailureFields(**failure.to_json()), attempts=work.job.attempts)
        work.events.append(Event.of(told, "heal"))

    async def _history(self, work: Work, failure: Failure) -> list[PastAttempt]:
        """The job's ended attempts, with the one whose end is not written yet."""
        job, attempt = work.job, work.attempt
        history = (await self._histories([job.id]))[job.id]
        if attempt is None or attempt.end is None:
            return history
        # Of one that was written off while it ran the end is known by now.
        history = [past for past in history if past.attempt_no != attempt.number]
        key = None if attempt.key is None else attempt.key.name
        last = PastAttempt(attempt.number, attempt.deployment.id, attempt.end.outcome, failure, work.since, key)
        return [*history, last]

    async def _continue(self, work: Work, cursor: int) -> Next | Ending:
        """Go on with that step of the plan, in this process where it serves that."""
        work.job.plan = work.plan.at(cursor)
        if Stage.EXECUTE not in self._serves:
            return Ending(Transition.HAND_OVER, Stage.EXECUTE)
        if work.attempt is not None:
            settled = await self._settling.settle(work, Ending(Transition.CONTINUE, Stage.EXECUTE))
            if settled is not Written.DONE:
                return Next.LEFT
        work.job.stage = Stage.EXECUTE
        return Next.AGAIN


def _answer_is_unrepaired(work: Work, failure: Failure) -> bool:
    """Whether a repair elsewhere brought no answer, and another call may be made for it."""
    return failure.failure_class is not FailureClass.SCHEMA_MISMATCH and (
        work.job.attempts < work.job.constraints.max_attempts
    )


def _asked(repair: NewRepair, attempts: int) -> Event:
    said = RepairAsked(
        repair_id=repair.id, repair_kind=repair.kind, workflow=repair.workflow, state=repair.state,
        reason=repair.reason, until=repair.until, attempts=attempts,
    )  # fmt: skip
    return Event.of(said, "heal")
