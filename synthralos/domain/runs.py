"""Agent runs: jobs that belong together by `run_id`, as steps. A step is known by its name *and* its input.

So a step that was renamed, or asked with another input, is another step: its answer is never taken for that one's. Jobs
name their step in `metadata.step`; one that names none is a step of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from synthralos.domain.states import TERMINAL, State, Transition, sources

STEP = "step"
"""The member of a job's metadata that names its step."""

MOST_JOBS = 10_000
"""Jobs of one run that are looked at: the newest."""


class RunState(StrEnum):
    """`running` while a job is open; `failed` where the newest job of a step did not succeed."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RunJob:
    """One job of a run. `input_key` names what was asked by its content. `cost` is in USD, the known part."""

    id: str
    step: str | None
    input_key: str
    state: State
    created_at: datetime
    finished_at: datetime | None
    run_at: datetime | None
    failure: dict[str, object] | None
    cost: Decimal
    cost_known: bool
    maybe_billed: int
    attempts: int
    awaits_repair: bool = False


@dataclass(slots=True)
class Step:
    """A step: its jobs, oldest first. The one that counts is the newest that succeeded, else the newest."""

    name: str | None
    input_key: str
    jobs: list[RunJob] = field(default_factory=list)

    @property
    def job(self) -> RunJob:
        """The job that counts."""
        done = [job for job in self.jobs if job.state is State.SUCCEEDED]
        return (done or self.jobs)[-1]

    @property
    def recoverable(self) -> bool:
        """Whether the step ended badly, or waits for a repair, and can be sent through again."""
        return self.job.state in sources(Transition.RETRY) or self.job.awaits_repair


@dataclass(slots=True)
class Run:
    """A run: its steps in the order in which they were first submitted. `more`: it has jobs that were not looked at."""

    id: str
    steps: list[Step]
    more: bool = False

    @property
    def jobs(self) -> list[RunJob]:
        """All jobs that were looked at, step by step."""
        return [job for step in self.steps for job in step.jobs]

    @property
    def state(self) -> RunState:
        """What became of it so far."""
        if any(job.state not in TERMINAL for job in self.jobs):
            return RunState.RUNNING
        done = all(step.job.state is State.SUCCEEDED for step in self.steps)
        return RunState.SUCCEEDED if done else RunState.FAILED

    @property
    def recoverable(self) -> list[Step]:
        """The steps that ended badly, and can be sent through again."""
        return [step for step in self.steps if step.recoverable]

    def missing(self, expected: Iterable[str]) -> list[str]:
        """The names of `expected` steps that no job has."""
        known = {step.name for step in self.steps}
        return [name for name in expected if name not in known]


def run_of(run_id: str, jobs: Sequence[RunJob], *, more: bool = False) -> Run:
    """The run of these jobs, oldest first."""
    steps: dict[tuple[str, str], Step] = {}
    for job in jobs:
        key = (f"job {job.id}" if job.step is None else f"step {job.step}", job.input_key)
        step = steps.get(key)
        if step is None:
            step = steps[key] = Step(job.step, job.input_key)
        step.jobs.append(job)
    return Run(run_id, list(steps.values()), more)
