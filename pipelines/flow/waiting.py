"""Wait points that a job comes to between guard and route: approvals that policies want, and its own signal."""

from datetime import datetime, timedelta
from functools import reduce

from synthralos.domain.events import Event, WaitOpened
from synthralos.domain.findings import Decision, Finding, Verdict, with_finding
from synthralos.domain.jobs import Job
from synthralos.domain.policies import Approval
from synthralos.domain.waits import WAITS, NewWait, WaitFor, WaitKind, approval_of, signal_of

APPROVAL = "approval"
"""The signal of a policy's finding that says what has to be approved (`Approval.to_json`)."""

SIGNAL = "wait_for"
"""The signal of the finding that puts a job off that waits for one (`WaitFor.to_json`)."""

_MOST_PROMPT = 2_000
"""Characters of what is told to those who are asked."""


def waiting(job: Job, verdict: Verdict) -> Verdict:
    """The verdict on a job that would go on, put off where the job itself waits for a signal that has not come yet."""
    wanted = job.constraints.wait_for
    if wanted is None or not verdict.goes_on:
        return verdict
    if any(given.what == signal_of(wanted.signal) for given in job.constraints.granted):
        return verdict
    reason = f"it waits for the signal {wanted.signal}"
    finding = Finding(WAITS, Decision.DEFER, reason, "constraints.wait_for", wanted.seconds, {SIGNAL: wanted.to_json()})
    return with_finding(verdict, finding)


def wait_of(verdict: Verdict, now: datetime) -> NewWait | None:
    """What the job has to wait for by its verdict; None where it is no answer of anybody's."""
    if verdict.decision is not Decision.DEFER:
        return None
    put_off = [found for found in verdict.findings if found.decision is Decision.DEFER]
    asked = [found for found in put_off if APPROVAL in found.signals]
    if asked:
        return _approval(asked, now)
    signal = next((found.signals[SIGNAL] for found in put_off if SIGNAL in found.signals), None)
    return None if signal is None else _signal(WaitFor.from_json(signal), now)


def opened_event(wait: NewWait) -> Event:
    """What is said of a wait that is opened."""
    said = WaitOpened(
        wait_id=wait.id, wait_kind=wait.kind, name=wait.name, prompt=wait.prompt, deadline=wait.deadline
    )  # fmt: skip
    return Event.of(said, "guard")


def _signal(wanted: WaitFor, now: datetime) -> NewWait:
    return NewWait(
        WaitKind.SIGNAL,
        wanted.signal,
        f"the job waits for the signal {wanted.signal}",
        wanted.seconds,
        now + timedelta(seconds=wanted.seconds),
        {"payload": None} if wanted.at_deadline == "continue" else None,
        (signal_of(wanted.signal),),
    )


def _approval(asked: list[Finding], now: datetime) -> NewWait:
    """One wait for all rules that ask: approving it approves of them all."""
    whole = reduce(Approval.merged, [Approval.from_json(found.signals[APPROVAL]) for found in asked])
    rules = [(found.signals["set"], found.signals["version"], found.signals["rule"]) for found in asked]
    return NewWait(
        WaitKind.APPROVAL,
        whole.by[:200],
        "; ".join(found.reason for found in asked)[:_MOST_PROMPT],
        whole.seconds,
        now + timedelta(seconds=whole.seconds),
        whole.default,
        tuple(approval_of(*rule) for rule in rules),
    )
