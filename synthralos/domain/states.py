"""The life of a job: stages, states, and the one table of transitions.

Every SQL statement that changes a job's state takes its `WHERE state IN (…)` from `TRANSITIONS`,
so that the table below is the whole truth about what can happen to a job.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """Where a job has work: each stage is a Dramatiq actor with queues of its own."""

    GUARD = "guard"
    ROUTE = "route"
    EXECUTE = "execute"
    HEAL = "heal"
    ANALYZE = "analyze"


class Lane(StrEnum):
    """Who waits for the job: a person (`interactive`) or nobody in particular (`bulk`)."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class State(StrEnum):
    """`queued`: nobody has it. `active`: a worker has it. `parked`: until `run_at`. The rest are terminal."""

    QUEUED = "queued"
    ACTIVE = "active"
    PARKED = "parked"
    SUCCEEDED = "succeeded"
    DENIED = "denied"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TERMINAL = frozenset({State.SUCCEEDED, State.DENIED, State.FAILED, State.CANCELLED, State.EXPIRED})
OPEN = frozenset(State) - TERMINAL


class Transition(StrEnum):
    """What can happen to a job after it was accepted."""

    CLAIM = "claim"
    START = "start"
    CONTINUE = "continue"
    HAND_OVER = "hand_over"
    PARK = "park"
    RELEASE = "release"
    RESCUE = "rescue"
    ISOLATE = "isolate"
    BURY = "bury"
    WAKE = "wake"
    SUCCEED = "succeed"
    REUSE = "reuse"
    DENY = "deny"
    DECLINE = "decline"
    FAIL = "fail"
    CANCEL = "cancel"
    EXPIRE = "expire"
    RETRY = "retry"
    REROUTE = "reroute"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the transition table. `fenced`: only the worker that has the claim may do it.

    A worker that read a job without a lock may do what is fenced from `queued` too: that write takes the claim.
    """

    sources: frozenset[State]
    target: State
    fenced: bool
    meaning: str


_REVIVABLE = TERMINAL - {State.SUCCEEDED}
_IN_HAND = (State.QUEUED, State.ACTIVE)


def _rule(target: State, *sources: State, fenced: bool, meaning: str) -> Rule:
    return Rule(frozenset(sources), target, fenced, meaning)


TRANSITIONS: Mapping[Transition, Rule] = {
    Transition.CLAIM: _rule(State.ACTIVE, State.QUEUED, fenced=False, meaning="a worker takes the job"),
    Transition.START: _rule(State.ACTIVE, *_IN_HAND, fenced=True, meaning="an attempt begins"),
    Transition.CONTINUE: _rule(State.ACTIVE, State.ACTIVE, fenced=True, meaning="an attempt ended, another follows"),
    Transition.HAND_OVER: _rule(State.QUEUED, *_IN_HAND, fenced=True, meaning="the next stage is served elsewhere"),
    Transition.PARK: _rule(State.PARKED, *_IN_HAND, fenced=True, meaning="it waits until run_at"),
    Transition.RELEASE: _rule(State.QUEUED, State.ACTIVE, fenced=True, meaning="its worker shuts down"),
    Transition.RESCUE: _rule(State.QUEUED, State.ACTIVE, fenced=False, meaning="its worker is lost"),
    Transition.ISOLATE: _rule(
        State.PARKED, State.ACTIVE, fenced=False, meaning="too many workers are lost with it and with others like it"
    ),
    Transition.BURY: _rule(State.FAILED, State.ACTIVE, fenced=False, meaning="it took too many workers down with it"),
    Transition.WAKE: _rule(State.QUEUED, State.PARKED, fenced=False, meaning="its run_at has come, or an answer"),
    Transition.SUCCEED: _rule(State.SUCCEEDED, State.ACTIVE, fenced=True, meaning="a result arrived"),
    Transition.REUSE: _rule(
        State.SUCCEEDED, *_IN_HAND, fenced=True, meaning="the result of an earlier, equal job answers it"
    ),
    Transition.DENY: _rule(State.DENIED, *_IN_HAND, fenced=True, meaning="a guard or a policy refused it"),
    Transition.DECLINE: _rule(
        State.DENIED, State.PARKED, fenced=False, meaning="what it waited for was denied, or did not come in time"
    ),
    Transition.FAIL: _rule(State.FAILED, *_IN_HAND, fenced=True, meaning="no remedy is left: a dead letter"),
    Transition.CANCEL: Rule(OPEN, State.CANCELLED, False, "somebody called it off"),
    Transition.EXPIRE: Rule(OPEN, State.EXPIRED, False, "its deadline passed"),
    Transition.RETRY: Rule(_REVIVABLE, State.QUEUED, False, "an operator sends it through again"),
    Transition.REROUTE: Rule(OPEN | _REVIVABLE, State.QUEUED, False, "an operator sends it to be routed anew"),
}  # fmt: skip


def sources(transition: Transition) -> frozenset[State]:
    """The states from which `transition` is possible."""
    return TRANSITIONS[transition].sources


def target(transition: Transition) -> State:
    """The state to which `transition` leads."""
    return TRANSITIONS[transition].target
