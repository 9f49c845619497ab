"""One worker's flow without a database and a provider: for the moments that no real one can be brought to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipelines.analyze.stage import AnalyzeStage
from pipelines.execute.stage import ExecuteStage
from pipelines.flow.batch import BatchRunner
from pipelines.flow.breakers import Breakers, Report
from pipelines.flow.calls import Calls
from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.gates import Gates
from pipelines.flow.hedging import Hedger
from pipelines.flow.quota_reports import Refusal, Wanted
from pipelines.flow.quotas import Quotas
from pipelines.flow.registry import Registry
from pipelines.flow.runner import JobRunner
from pipelines.flow.settling import Settling
from pipelines.flow.single_flight import SingleFlight
from pipelines.flow.work import Work
from pipelines.providers.protocol import Call, Cancel, Done
from synthralos.domain.attempts import PastAttempt, Reply
from synthralos.domain.deployments import Catalog
from synthralos.domain.failures import Failure
from synthralos.domain.jobs import Job
from synthralos.domain.money import Usage
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Settlement, Start, StartResult, Written
from tests.fakes.stage_jobs import NOON, a_deployment, a_job, a_plan
from tests.fakes.stages import stages_of

FIRST, SECOND, THIRD = "fake/first@us", "fake/second@us", "fake/third@us"
Step = Callable[[], Awaitable[object]]


async def at_once() -> None:
    """Nothing to wait for."""


class Scene:
    """One worker's jobs: what is written is kept in memory, a provider answers as told, the clock stands."""

    def __init__(
        self,
        *,
        max_in_flight: int = 1,
        serves: Sequence[Stage] = tuple(Stage),
        deployment_wait: float = 60.0,
        catalog: Catalog | None = None,
    ) -> None:
        """`catalog`: of the adapter `fake`; three deployments in the US where it is not given."""
        self.now = NOON
        self.seconds = 0.0
        self.begun: list[Start] = []
        self.settled: list[Settlement] = []
        self.calls: list[Call] = []
        self.left: list[Work] = []
        self.past: list[PastAttempt] = []
        self.booking: Step = at_once
        self.recalling: Step = at_once
        self.beginning: Callable[[Call], None] = lambda _: None
        self.answering: Callable[[Call], Awaitable[Reply | Failure]] = self.reply
        self.result: StartResult = Written.DONE
        self._submitted: set[asyncio.Future[None]] = set()
        usual = [
            replace(a_deployment(name, adapter="fake"), max_in_flight=max_in_flight) for name in (FIRST, SECOND, THIRD)
        ]
        catalog = catalog or Catalog(usual)
        made, served, clock = stages_of(catalog), frozenset(serves), lambda: self.now
        self.stages = made
        self.registry = Registry(self.left.append)
        self.deployments = DeploymentSlots(lambda: self.seconds)
        self.reports: list[Report] = []
        self.breakers = Breakers(lambda: catalog, self.reports.append, 60.0, lambda: self.seconds)
        self.asked: list[Wanted | Refusal] = []
        self.quotas = Quotas(self.asked.append, lambda: self.seconds)
        gates = Gates(self.breakers, self.quotas, lambda: catalog)
        calls = Calls(lambda: made, ExecuteStage({"fake": self}), gates, clock, 60.0)
        settling = Settling(served, AnalyzeStage(), lambda: made, self, clock)
        single = SingleFlight()
        self.runner = JobRunner(
            served, calls, settling, self, self.registry, self.deployments, gates,
            lambda: made, self._histories, clock, deployment_wait, single,
            Hedger(calls, settling, self, self.deployments, gates, lambda: made),
        )  # fmt: skip
        self.batch = BatchRunner(calls, settling, self, self.registry, self.deployments, gates, self.runner, single)

    async def start(self, start: Start) -> StartResult:
        """See `Writer.start`."""
        await self.booking()
        self.begun.append(start)
        return self.result

    async def settle(self, settlement: Settlement) -> Written:
        """See `Writer.settle`."""
        self.settled.append(settlement)
        return Written.DONE if self.result is not Written.CLAIM_LOST else Written.CLAIM_LOST

    def submit_start(self, start: Start, done: Callable[[StartResult | Exception], None]) -> None:
        """See `Writer.submit_start`."""
        self._submit(self.start(start), done)

    def submit_settlement(self, settlement: Settlement, done: Callable[[Written | Exception], None]) -> None:
        """See `Writer.submit_settlement`."""
        self._submit(self.settle(settlement), done)

    def _submit(self, writing: Awaitable[Any], done: Callable[[Any], None]) -> None:
        async def submitted() -> None:
            try:
                result = await writing
            except Exception as error:  # noqa: BLE001 - the error is the result
                result = error
            done(result)

        task = asyncio.ensure_future(submitted())
        self._submitted.add(task)
        task.add_done_callback(self._submitted.discard)

    def begin(self, call: Call, done: Done) -> Cancel:
        """See `Provider.begin`."""
        self.calls.append(call)
        self.beginning(call)

        async def made() -> None:
            done(await self.answering(call))

        task = asyncio.ensure_future(made())
        self._submitted.add(task)
        task.add_done_callback(self._submitted.discard)

        def cancel() -> None:
            task.cancel()

        return cancel

    async def close(self) -> None:
        """See `Provider.close`."""

    def run(self, job: Job, failure: Failure | None = None) -> Awaitable[None]:
        """Run the job in a coroutine of its own."""
        running = self.registry.enter(Work(job, NOON, failure=failure))
        assert running is not None
        return self.runner.run(running)

    async def run_batch(self, *works: Work) -> None:
        """Run the works together until all have left."""
        self.batch.run(works)
        await self.registry.emptied()

    def cut(self, job: Job) -> None:
        """Take the job from this worker."""
        self.registry.cut([(job.id, job.claim.claim_no)])

    def endings(self) -> list[tuple[Transition, Stage]]:
        """How the jobs went on."""
        return [(s.transition, s.stage) for s in self.settled]

    async def _histories(self, job_ids: Sequence[str]) -> dict[str, list[PastAttempt]]:
        await self.recalling()
        return dict.fromkeys(job_ids, self.past)

    @staticmethod
    async def reply(_: Call) -> Reply | Failure:
        """What every call is answered where nothing else was told."""
        return Reply("Hi", Usage(1, 1), "stop", "fake")


class Hold:
    """Holds whoever comes until the test lets go."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, *_: object) -> Reply:
        self.came.set()
        await self.let_go.wait()
        return Reply("Hi", Usage(1, 1), "stop", "fake")


def planned(*steps: str, deadline: datetime | None = None, cursor: int = 0) -> Job:
    """A job that is ready for its call, at any of three deployments if none is named."""
    return a_job(routing=a_plan(*(steps or (FIRST, SECOND, THIRD)), cursor=cursor), deadline=deadline)
