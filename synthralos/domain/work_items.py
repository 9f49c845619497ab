"""Where there is work: what is rung for, and what those who move jobs tell of them."""

from dataclasses import dataclass

from synthralos.domain.states import Lane, Stage


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A job that has work at a stage, for the doorbell."""

    id: str
    stage: Stage
    lane: Lane
