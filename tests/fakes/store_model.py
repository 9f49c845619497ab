"""A model of one job in the store: it knows the transition table and nothing of SQL."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from synthralos.domain.attempts import Outcome
from synthralos.domain.jobs import Job
from synthralos.domain.states import TERMINAL, State, Transition, sources, target


@dataclass
class Model:
    """What a job should be. `books` holds, by attempt number, how it ended: open, lost, or the outcome."""

    state: State = State.QUEUED
    worker: str | None = None
    claim_no: int = 0
    losses: int = 0
    result: dict[str, Any] | None = None
    books: dict[int, str] = field(default_factory=dict)
    costs: dict[int, Decimal | None] = field(default_factory=dict)
    ends: int = 0

    def held_by(self, job: Job) -> bool:
        """Whether a write under the job's claim counts: it is the job's, or the next one of a job that is queued."""
        if not job.claim.held:
            return (self.state, self.claim_no) == (State.QUEUED, job.claim.claim_no - 1)
        return (self.state, self.worker, self.claim_no) == (State.ACTIVE, job.claim.worker_id, job.claim.claim_no)

    def move(self, transition: Transition) -> None:
        """As the table says."""
        assert self.state in sources(transition)
        was, self.state = self.state, target(transition)
        if self.state is not State.ACTIVE:
            self.worker = None
        if self.state in TERMINAL:
            assert was not in TERMINAL
            self.ends += 1

    def write_off(self) -> None:
        """The open attempt is lost."""
        for number, outcome in self.books.items():
            if outcome == Outcome.OPEN:
                self.books[number], self.costs[number] = Outcome.LOST, None
