"""Calls of one job of which one counts: that of the first answer, or, of answers that are streamed, of the first word.

No two answers are told: from the first word on, what the other call says goes nowhere, and it is cut.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

from pipelines.flow.calls import Calls
from pipelines.flow.registry import RunningJob
from pipelines.flow.seeking import interruptible
from pipelines.flow.work import Work
from pipelines.providers.protocol import Cancel
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure


@dataclass(slots=True, eq=False)
class Flying:
    """One call that is under way."""

    work: Work
    answer: "asyncio.Future[Reply | Failure]"
    cancel: Cancel | None = None

    def answered(self, found: Reply | Failure) -> None:
        """Its end, if it is still waited for."""
        if not self.answer.done():
            self.answer.set_result(found)


class Race:
    """The calls of one job. Lives on the event loop."""

    def __init__(self, calls: Calls, running: RunningJob) -> None:
        self._calls, self._running = calls, running
        self._flying: list[Flying] = []
        self._ended: list[Flying] = []
        self._told: asyncio.Future[Flying] = asyncio.get_running_loop().create_future()
        self._counts: Flying | None = None

    @property
    def is_open(self) -> bool:
        """Whether no call has said or brought anything yet."""
        return not self._told.done() and not any(call.answer.done() for call in self._flying)

    def begin(self, work: Work) -> None:
        """Begin the call of the work's open attempt."""
        call = Flying(work, asyncio.get_running_loop().create_future())
        call.cancel = self._calls.begin(work, call.answered, partial(self._may_tell, call))
        self._flying.append(call)

    async def quiet(self, seconds: float) -> bool:
        """Wait for the first sign of an answer; whether there was none in so many seconds. May be cancelled."""
        signs: list[asyncio.Future[Flying] | asyncio.Future[Reply | Failure]] = [self._told, *self._answers()]
        wait = partial(asyncio.wait, signs, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        await interruptible(self._running, wait)
        return self.is_open

    async def decide(self) -> None:
        """Wait until one call is left, or one has answered. May be cancelled."""
        while len(waiting := self._waiting()) > 1:
            signs: list[asyncio.Future[Flying] | asyncio.Future[Reply | Failure]] = [self._told, *self._answers()]
            await interruptible(self._running, partial(asyncio.wait, signs, return_when=asyncio.FIRST_COMPLETED))
            if self._told.done():
                self._keep(self._told.result())
                return
            for call in [call for call in waiting if call.answer.done()]:
                self._end(call)
                if isinstance(call.answer.result(), Reply):
                    self._keep(call)
                    return

    async def answer(self) -> Reply | Failure:
        """The answer that counts, once it was decided; of two failures that of the last call. May be cancelled."""
        for call in self._waiting():
            await interruptible(self._running, partial(asyncio.wait, [call.answer]))
            self._end(call)
        if self._counts is None:
            replied = (call for call in self._flying if isinstance(call.answer.result(), Reply))
            told = self._told.result() if self._told.done() else self._flying[-1]
            self._counts = next(replied, told)
        return self._counts.answer.result()

    def end(self) -> None:
        """Cut what is still under way: whatever comes of it counts for the books alone."""
        for call in self._waiting():
            self._end(call)

    def won_by(self, work: Work) -> bool:
        """Whether it is the work's call that counts."""
        return self._counts is not None and self._counts.work is work

    def _keep(self, call: Flying) -> None:
        self._counts = call
        for other in self._waiting():
            if other is not call:
                self._end(other)

    def _end(self, call: Flying) -> None:
        self._ended.append(call)
        if call.answer.done():
            self._calls.answered(call.work, call.answer.result())
        else:
            assert call.cancel is not None
            call.cancel()
            call.answer.cancel()
            self._calls.cut(call.work)

    def _may_tell(self, call: Flying) -> bool:
        if not self._told.done():
            self._told.set_result(call)
        return self._told.result() is call

    def _waiting(self) -> list[Flying]:
        return [call for call in self._flying if call not in self._ended]

    def _answers(self) -> list["asyncio.Future[Reply | Failure]"]:
        return [call.answer for call in self._waiting()]
