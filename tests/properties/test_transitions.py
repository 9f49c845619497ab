"""The transition table as a state machine: whatever happens to a job, in whatever order, these stay true."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synthralos.domain.states import (
    OPEN,
    TERMINAL,
    TRANSITIONS,
    State,
    Transition,
    sources,
    target,
)

REVIVING = {Transition.RETRY, Transition.REROUTE}


class JobLife(RuleBasedStateMachine):
    """Tries any transition at any time, as racing workers, sweepers and operators do."""

    state = State.QUEUED
    before = State.QUEUED
    last: Transition | None = None
    results = 0

    @initialize()
    def accepted(self) -> None:
        self.state = self.before = State.QUEUED

    @rule(transition=st.sampled_from(Transition))
    def anything_happens(self, transition: Transition) -> None:
        self.before = self.state
        if self.state not in sources(transition):
            return
        self.state = target(transition)
        self.last = transition
        self.results += transition is Transition.SUCCEED

    @invariant()
    def a_terminal_state_is_left_by_an_operator_alone(self) -> None:
        if self.before in TERMINAL and self.state != self.before:
            assert self.last in REVIVING

    @invariant()
    def a_result_is_final(self) -> None:
        assert self.results <= 1
        if self.results:
            assert self.state is State.SUCCEEDED

    @invariant()
    def a_state_is_open_or_terminal(self) -> None:
        assert (self.state in OPEN) != (self.state in TERMINAL)

    @invariant()
    def an_open_job_can_always_be_called_off(self) -> None:
        if self.state in OPEN:
            assert self.state in sources(Transition.CANCEL)
            assert self.state in sources(Transition.EXPIRE)


TestJobLife = JobLife.TestCase


def test_the_table_has_a_row_for_every_transition() -> None:
    assert set(TRANSITIONS) == set(Transition)


@pytest.mark.parametrize("transition", [t for t in Transition if TRANSITIONS[t].fenced])
def test_what_needs_the_claim_happens_to_jobs_in_a_workers_hands_only(transition: Transition) -> None:
    assert State.ACTIVE in sources(transition) <= {State.QUEUED, State.ACTIVE}


@pytest.mark.parametrize("transition", [Transition.SUCCEED, Transition.CONTINUE, Transition.RELEASE])
def test_what_follows_an_attempt_or_a_claim_needs_one_that_is_held(transition: Transition) -> None:
    assert sources(transition) == {State.ACTIVE}


def reachable(start: State) -> set[State]:
    found, new = set[State](), {start}
    while new:
        found |= new
        new = {target(t) for t in Transition if sources(t) & found} - found
    return found


def test_every_state_can_be_reached_from_submission() -> None:
    assert reachable(State.QUEUED) == set(State)


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_job_can_still_succeed(state: State) -> None:
    assert State.SUCCEEDED in reachable(state)


def test_nothing_leads_out_of_succeeded() -> None:
    assert reachable(State.SUCCEEDED) == {State.SUCCEEDED}
