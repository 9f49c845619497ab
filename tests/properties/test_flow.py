"""Whatever goes wrong with the jobs of a batch, each leaves once, every slot comes back, every attempt gets its end."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from enum import Enum, auto

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.flow.work import Work
from pipelines.providers.protocol import Call
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.jobs import Claim
from synthralos.domain.states import TERMINAL
from synthralos.domain.writes import Refused, Settlement, Start, StartResult, Written
from tests.fakes.flow import FIRST, SECOND, THIRD, Scene
from tests.fakes.stage_jobs import NOON, a_job, a_plan


class Fate(Enum):
    """What happens to a job."""

    FINE = auto()
    FAILS = auto()
    PROVIDER_BUG = auto()
    CLAIM_LOST = auto()
    REFUSED = auto()
    START_ERROR = auto()
    SETTLE_ERROR = auto()
    CUT = auto()
    FAILED_BEFORE = auto()


class Fateful(Scene):
    """A scene in which each job meets its fates, one a call, the last for good."""

    def __init__(self, fates: dict[str, list[Fate]], *, max_in_flight: int) -> None:
        super().__init__(max_in_flight=max_in_flight, deployment_wait=0.0)
        self.fates = fates
        self.beginning = self._begin
        self.answering = self._answer
        self.written: list[Start] = []

    def fate(self, job_id: str, attempt_no: int) -> Fate:
        """What happens in this attempt."""
        fates = self.fates[job_id]
        return fates[min(attempt_no, len(fates)) - 1]

    async def start(self, start: Start) -> StartResult:
        """As fate has it."""
        await asyncio.sleep(0)
        match self.fate(start.job.id, start.attempt_no):
            case Fate.CLAIM_LOST:
                return Written.CLAIM_LOST
            case Fate.REFUSED:
                return Refused("acme")
            case Fate.START_ERROR:
                raise TypeError("not JSON")
        self.written.append(start)
        return Written.DONE

    async def settle(self, settlement: Settlement) -> Written:
        """As fate has it: an error until almost nothing is left to write."""
        await asyncio.sleep(0)
        if self.fate(settlement.job.id, settlement.job.attempts) is Fate.SETTLE_ERROR and settlement.spans:
            raise TypeError("not JSON")
        return await super().settle(settlement)

    def _begin(self, call: Call) -> None:
        if self.fate(call.job_id, call.attempt_no) is Fate.PROVIDER_BUG:
            raise ZeroDivisionError

    async def _answer(self, call: Call) -> Reply | Failure:
        await asyncio.sleep(0)
        match self.fate(call.job_id, call.attempt_no):
            case Fate.FAILS:
                return Failure(FailureClass.OVERLOADED, "busy")
            case Fate.CUT:
                [key] = [key for key in self.registry.under_way() if key[0] == call.job_id]
                asyncio.get_running_loop().call_soon(self.registry.cut, [key])
                await asyncio.Event().wait()
        return await self.reply(call)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(st.sampled_from(Fate), min_size=1, max_size=3), min_size=1, max_size=6),
    st.integers(1, 3),
    st.booleans(),
)
def test_every_job_leaves_once_and_leaves_nothing_behind(
    fates: Sequence[list[Fate]], max_in_flight: int, held: bool
) -> None:
    works = [Work(a_job(routing=a_plan(FIRST, SECOND, THIRD)), NOON) for _ in fates]
    for work, fate in zip(works, fates, strict=True):
        work.job.claim = Claim("worker", 1, held)
        if fate[0] is Fate.FAILED_BEFORE:
            work.failure = Failure(FailureClass.INVALID_REQUEST, "no such thing")
    scene = Fateful({work.job.id: fate for work, fate in zip(works, fates, strict=True)}, max_in_flight=max_in_flight)
    asyncio.run(asyncio.wait_for(scene.run_batch(*works), 60))
    assert Counter(work.job.id for work in scene.left) == Counter(work.job.id for work in works)
    assert scene.deployments.calls() == 0
    begun = Counter((start.job.id, start.attempt_no) for start in scene.written)
    ended = Counter((s.job.id, s.attempt.attempt_no) for s in scene.settled if s.attempt is not None)
    assert begun == ended
    assert set(begun.values()) <= {1}
    ends = Counter(s.job.id for s in scene.settled if s.state in TERMINAL)
    assert set(ends.values()) <= {1}
