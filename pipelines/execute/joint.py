"""Calls for vectors that may be one call, and are made as one.

What begins in one turn of the loop goes together, as it comes out of one commit: nothing waits for company. Each job
has an attempt of its own on the books, gets its part of the answer and of the tokens, and ends by itself: one that is
cancelled, or whose time is over, leaves the others alone. A call that is refused for what may be wrong with one text is
made again for each job alone, within the same attempts: what was refused was not billed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import orjson

from pipelines.execute.shares import one_call, shares_of
from pipelines.providers.joint_limits import JointLimits, joint_limits
from pipelines.providers.protocol import Call, Cancel, Done, failure_of_bug
from pipelines.tokens import TokenCounter, measure
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.telemetry.families import JOINT_CALLS, JOINT_JOBS
from synthralos.telemetry.metrics import Metrics

REFUSED = frozenset(
    {
        FailureClass.INVALID_REQUEST,
        FailureClass.CONTEXT_LENGTH,
        FailureClass.UNSUPPORTED,
        FailureClass.CONTENT_FILTERED,
    }
)
"""What one text may bring upon all, and is not billed where the provider refused the call."""

_SHORTEST = 0.01
"""Seconds that a call has at least."""

_Key = tuple[Any, ...]


@dataclass(eq=False, slots=True)
class _Member:
    """One job's call. `cancel` cancels what is under way for it alone."""

    call: Call
    done: Done
    size: int
    cancel: Cancel | None = None
    left: bool = False
    timer: asyncio.TimerHandle | None = None

    def end(self, answer: Reply | Failure) -> None:
        """Tell the job, unless it has left."""
        if not self.left:
            self.leave()
            self.done(answer)

    def leave(self) -> None:
        """Hear of nothing any more."""
        self.left = True
        if self.timer is not None:
            self.timer.cancel()


class JointCalls:
    """Lives on the event loop."""

    def __init__(self, begin: Callable[[Call, Done], Cancel], metrics: Metrics) -> None:
        """`begin` begins one call; see `Provider.begin`."""
        self._begin = begin
        self._counter = TokenCounter()
        self._gathered: dict[_Key, list[_Member]] = {}
        self._smaller: dict[str, int] = {}
        self._calls, self._jobs = metrics.counters(JOINT_CALLS), metrics.counters(JOINT_JOBS)

    def begin(self, call: Call, done: Done) -> Cancel:
        """See `Provider.begin`; the call begins at the end of this turn of the loop."""
        member = _Member(call, done, measure(call.request.inputs).bytes)
        key = _key(call)
        members = self._gathered.get(key)
        if members is None:
            members = self._gathered[key] = []
            asyncio.get_running_loop().call_soon(self._flush, key)
        members.append(member)
        return partial(_cancel, member)

    def _flush(self, key: _Key) -> None:
        members = [member for member in self._gathered.pop(key) if not member.left]
        if not members:
            return
        for group in packed(members, self._limits(members[0].call)):
            if len(group) == 1:
                self._alone(group[0], group[0].end)
            else:
                _Joint(group, self).begin()

    def _limits(self, call: Call) -> JointLimits:
        limits, learned = joint_limits(call.deployment), self._smaller.get(call.deployment.id)
        return limits if learned is None else limits._replace(inputs=min(learned, limits.inputs))

    def _alone(self, member: _Member, done: Done) -> None:
        member.cancel = self.safely(member.call, done)

    def safely(self, call: Call, done: Done) -> Cancel | None:
        """Begin a call; a bug there is its failure."""
        try:
            return self._begin(call, done)
        except Exception as error:  # noqa: BLE001 - the edge of an adapter, whose bug is its call's alone; it is logged
            done(failure_of_bug(call, error))
            return None

    def shares(self, answer: Reply | Failure, members: Sequence[_Member]) -> list[Reply | Failure]:
        """What each of them is answered."""
        calls = [member.call for member in members]
        try:
            return shares_of(answer, calls, self._counter)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of an end; it is logged
            return [failure_of_bug(call, error) for call in calls]

    def count(self, members: Sequence[_Member], outcome: str) -> None:
        """A call that they shared has ended so."""
        deployment = members[0].call.deployment.id
        self._calls[deployment, outcome].inc()
        self._jobs[deployment, outcome].inc(len(members))

    def too_large(self, members: Sequence[_Member]) -> None:
        """All of them were taken alone: it was their number that the deployment refused."""
        inputs = sum(len(member.call.request.inputs) for member in members)
        self._smaller[members[0].call.deployment.id] = max(1, inputs // 2)


class _Joint:
    """One call of several jobs."""

    def __init__(self, members: Sequence[_Member], calls: JointCalls) -> None:
        self._members, self._calls = members, calls
        self._cancel: Cancel | None = None
        self._staying = self._to_come = len(members)
        self._began = 0.0
        self._ended = False

    def begin(self) -> None:
        """Begin the call; who has less time than the most patient one is told when it is over."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        call = one_call([member.call for member in self._members])
        for member in self._members:
            member.cancel = self._leave
            if member.call.timeout < call.timeout:
                member.timer = loop.call_later(member.call.timeout, self._expire, member)
        self._cancel = self._calls.safely(call, self._answered)

    def _leave(self) -> None:
        """One member has left; with the last one the call is cut."""
        self._staying -= 1
        if not self._staying and not self._ended and self._cancel is not None:
            self._ended = True
            self._cancel()

    def _expire(self, member: _Member) -> None:
        seconds = f"no answer within {member.call.timeout:g} s; it may have been billed"
        member.end(Failure(FailureClass.TIMEOUT, seconds))
        self._leave()

    def _answered(self, answer: Reply | Failure) -> None:
        self._ended = True
        if isinstance(answer, Failure) and _refused(answer):
            self._one_by_one()
            return
        self._calls.count(self._members, "answered" if isinstance(answer, Reply) else "failed")
        for member, share in zip(self._members, self._calls.shares(answer, self._members), strict=True):
            member.end(share)

    def _one_by_one(self) -> None:
        self._calls.count(self._members, "split")
        gone = asyncio.get_running_loop().time() - self._began
        for member in self._members:
            if member.timer is not None:
                member.timer.cancel()
            if not member.left:
                call = replace(member.call, timeout=max(_SHORTEST, member.call.timeout - gone))
                member.cancel = self._calls.safely(call, partial(self._answered_alone, member))

    def _answered_alone(self, member: _Member, answer: Reply | Failure) -> None:
        self._to_come -= isinstance(answer, Reply)
        if not self._to_come:
            self._calls.too_large(self._members)
        member.end(answer)


def packed(members: Sequence[_Member], limits: JointLimits) -> list[list[_Member]]:
    """The members in groups of which each fits into one call; a job whose texts are too many by themselves is alone."""
    groups: list[list[_Member]] = []
    inputs = size = 0
    for member in members:
        more = len(member.call.request.inputs)
        if not groups or inputs + more > limits.inputs or size + member.size > limits.bytes:
            groups.append([])
            inputs = size = 0
        groups[-1].append(member)
        inputs, size = inputs + more, size + member.size
    return groups


def _refused(failure: Failure) -> bool:
    """Whether one of the texts may be the cause, and nothing was billed."""
    return failure.failure_class in REFUSED and failure.usage is None and failure.http_status != 200


def _cancel(member: _Member) -> None:
    if member.left:
        return
    member.leave()
    if member.cancel is not None:
        member.cancel()


def _key(call: Call) -> _Key:
    """Equal for calls that differ in their texts alone, of those who may share one."""
    body = {name: value for name, value in call.request.body.items() if name != "input"}
    asked = orjson.dumps([body, call.request.provider_options], option=orjson.OPT_SORT_KEYS)
    return call.joins, call.deployment.id, call.credential, asked
