"""The happy path: a batch of jobs is started, called and settled with callbacks, without a task or a future per job.

A job that fails, has to wait for a slot, is refused, or whose write fails leaves for the coroutine of its own
(`pipelines.flow.runner`), which finds in its work how far it came.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pipelines.flow.calls import Calls
from pipelines.flow.deployment_slots import DeploymentSlots
from pipelines.flow.gates import Gates
from pipelines.flow.registry import Registry, RunningJob
from pipelines.flow.runner import JobRunner
from pipelines.flow.settling import Settling, Writer
from pipelines.flow.single_flight import SingleFlight
from pipelines.flow.work import Ending, Work
from synthralos.domain.attempts import Reply
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Start, StartResult, Written


class BatchRunner:
    """Runs what goes well, and hands over what does not. Lives on the event loop."""

    def __init__(
        self,
        calls: Calls,
        settling: Settling,
        writer: Writer,
        registry: Registry,
        deployments: DeploymentSlots,
        gates: Gates,
        runner: JobRunner,
        single: SingleFlight,
    ) -> None:
        self._calls = calls
        self._settling = settling
        self._writer = writer
        self._registry = registry
        self._deployments = deployments
        self._gates = gates
        self._runner = runner
        self._single = single

    def run(self, works: Sequence[Work]) -> None:
        """Let the jobs go on; each leaves the registry when all about it is written."""
        for work in works:
            running = self._registry.enter(work)
            if running is not None:
                self._safely(running, self._begin)

    def _safely(self, running: RunningJob, step: Callable[..., None], *arguments: Any) -> None:
        """A bug in a step is the job's own: the batch goes on."""
        try:
            step(running, *arguments)
        except Exception as error:  # noqa: BLE001 - the edge of a job within the batch; the runner buries it and logs it
            self._runner.take_over(running, error)

    def _begin(self, running: RunningJob) -> None:
        work = running.work
        if work.ending is not None:
            self._settle(running, work.ending)
            return
        goes_on = work.failure is None and not self._registry.draining
        if goes_on and work.job.constraints.coalesce == "allow":
            goes_on = self._single.leads(work)
        if work.job.verdict is not None and work.job.verdict.overlay.hedge:
            goes_on = False  # two calls of one job need a coroutine
        found = self._calls.target(work) if goes_on and self._calls.admit(work) else None
        if found is None or isinstance(found, Failure) or self._calls.seconds_left(work) <= 0:
            self._runner.take_over(running)
            return
        step, deployment = found
        if not self._deployments.take(deployment):
            self._runner.take_over(running)
            return
        if not self._gates.take(work, deployment):
            self._deployments.release(deployment)
            self._runner.take_over(running)
            return
        start = self._calls.start(work, step, deployment)
        try:
            self._writer.submit_start(start, partial(self._safely, running, self._started, start))
        except BaseException:
            self._deployments.release(deployment)
            raise

    def _started(self, running: RunningJob, start: Start, result: StartResult | Exception) -> None:
        if result is not Written.DONE:
            self._deployments.release(start.deployment)
            self._not_started(running, result)
            return
        self._calls.started(running.work, start)
        if running.is_cut:
            self._deployments.release(start.deployment)
            self._calls.unmade(running.work)
            self._settle(running, Ending(Transition.RELEASE, Stage.EXECUTE))
            return
        try:
            cancel = self._calls.begin(running.work, partial(self._safely, running, self._answered, start.deployment))
        except BaseException:
            self._deployments.release(start.deployment)
            raise
        running.wait(partial(self._safely, running, self._interrupted, start.deployment, cancel))

    def _not_started(self, running: RunningJob, result: StartResult | Exception) -> None:
        if isinstance(result, Exception):
            self._runner.take_over(running, result)
        elif isinstance(result, Written):
            self._gates.unused(running.work.job.id)
            self._registry.leave(running)
        else:
            # The budget is asked again by the runner, which knows what to do about it.
            self._gates.unused(running.work.job.id)
            self._runner.take_over(running)

    def _answered(self, running: RunningJob, deployment: Deployment, answer: Reply | Failure) -> None:
        running.go_on()
        self._deployments.release(deployment)
        work = running.work
        self._calls.answered(work, answer)
        if isinstance(answer, Reply):
            self._settle(running, self._calls.success(work, answer))
            return
        work.failure = answer
        self._runner.take_over(running)

    def _interrupted(self, running: RunningJob, deployment: Deployment, cancel: Callable[[], None]) -> None:
        cancel()
        self._cut(running, deployment)

    def _cut(self, running: RunningJob, deployment: Deployment) -> None:
        self._deployments.release(deployment)
        self._calls.cut(running.work)
        self._settle(running, Ending(Transition.RELEASE, Stage.EXECUTE))

    def _settle(self, running: RunningJob, ending: Ending) -> None:
        self._settling.submit(running.work, ending, partial(self._safely, running, self._settled))

    def _settled(self, running: RunningJob, result: Written | Exception) -> None:
        if isinstance(result, Exception):
            self._runner.take_over(running, result)
            return
        self._settling.written(running.work, result)
        self._registry.leave(running)
