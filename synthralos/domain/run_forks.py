"""Forks of agent runs: a new run that keeps the finished steps before one step, and asks that one anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from synthralos.domain.runs import Run, Step
from synthralos.domain.states import State


@dataclass(frozen=True, slots=True)
class KeptStep:
    """A finished step that a fork need not pay again: the job that answers it, and what that has cost (USD)."""

    name: str | None
    input_key: str
    job_id: str
    cost: Decimal
    cost_known: bool

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        cost = {"cost_usd": format(self.cost, "f"), "cost_known": self.cost_known}
        return {"name": self.name, "input": self.input_key, "job_id": self.job_id, **cost}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "KeptStep":
        """The inverse of `to_json`."""
        return cls(data["name"], data["input"], data["job_id"], Decimal(data["cost_usd"]), data["cost_known"])


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a run comes from. `from_step` is the id of the parent's job that was asked anew; `differs`: in what."""

    run_id: str
    parent: str
    from_step: str
    kept: tuple[KeptStep, ...]
    differs: Mapping[str, Any]

    @property
    def saved(self) -> Decimal:
        """USD that the kept steps have cost, the known part."""
        return sum((step.cost for step in self.kept), start=Decimal(0))

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "parent": self.parent,
            "from_step": self.from_step,
            "differs": dict(self.differs),
            "kept": [step.to_json() for step in self.kept],
            "saved_usd": format(self.saved, "f"),
            "saved_known": all(step.cost_known for step in self.kept),
        }


def steps_named(run: Run, named: str) -> list[Step]:
    """The steps of that name; or the one that a job of that id belongs to."""
    return [step for step in run.steps if step.name == named or any(job.id == named for job in step.jobs)]


def kept_before(run: Run, step: Step, earlier: Sequence[KeptStep]) -> tuple[KeptStep, ...]:
    """The finished steps that came before `step`; `earlier` are those that the run itself has kept as a fork."""
    before = run.steps[: run.steps.index(step)]
    own = [
        KeptStep(each.name, each.input_key, each.job.id, each.job.cost, each.job.cost_known)
        for each in before
        if each.job.state is State.SUCCEEDED
    ]
    return (*earlier, *own)


def to_submit(run: Run, step: Step) -> list[str]:
    """The names of the steps that a fork at `step` has to submit itself: unfinished ones before, and all after it."""
    at = run.steps.index(step)
    unfinished = [each for each in run.steps[:at] if each.job.state is not State.SUCCEEDED]
    names = [each.name for each in (*unfinished, *run.steps[at + 1 :]) if each.name not in (None, step.name)]
    return list(dict.fromkeys(name for name in names if name is not None))
