"""One call whose answer comes as an event stream: deltas while it comes, and one end.

A stream ends in one of these ways: with the provider's last word, with an error that it sends in the middle, with its
connection, or in silence. After an answer that is not whole its tokens are counted here, since whoever was at work
may bill it: `Failure.estimated`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import orjson

from pipelines.providers.answers import failure_in
from pipelines.providers.assembly import Assembly, Unreadable, estimated_usage
from pipelines.providers.protocol import Call, Cancel, Done, failure_of_bug
from pipelines.providers.rate_headers import left_in
from pipelines.providers.sse import EventStream, TooLongEvent
from pipelines.providers.transport import protocol as http
from synthralos.domain.attempts import Reply
from synthralos.domain.deltas import Delta, ToolDelta
from synthralos.domain.failures import Failure, FailureClass

LAST_BYTES = 0.5
"""Seconds from the provider's last word to the end of its answer: the connection can then be used again."""


class Patience(NamedTuple):
    """Seconds until the first delta, and between two pieces of the stream after it."""

    first_token: float
    idle: float


class Reading(NamedTuple):
    """What reads the end of a call at one deployment.

    `whole` reads what is no event stream; `decode` the document of one; `masked` hides the key in what it said.
    """

    whole: Callable[[http.Result], Reply | Failure]
    decode: Callable[[bytes, Mapping[str, str]], Reply | Failure]
    masked: Callable[[bytes], bytes]


class StreamedCall:
    """Takes the pieces of one answer. Lives on the event loop."""

    def __init__(self, call: Call, assembly: Assembly, reading: Reading, done: Done, patience: Patience) -> None:
        self._call, self._assembly, self._reading, self._done = call, assembly, reading, done
        self._events = EventStream()
        self._cancel: Cancel | None = None
        self._begun = self._ended = False
        self._said: list[str] = []
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._late: asyncio.TimerHandle | None = self._loop.call_later(patience.first_token, self._too_late)

    def started(self, cancel: Cancel) -> Cancel:
        """The request is on its way; what is returned cancels the call."""
        self._cancel = cancel
        return self.cancel

    def cancel(self) -> None:
        """Nobody wants the rest."""
        self._ended = True
        self._stop()

    def piece(self, data: bytes) -> None:
        """The next bytes of the stream. What follows the provider's last word is not read."""
        self._heard_at = self._loop.time()
        try:
            for event in self._events.feed(data):
                if self._assembly.over:
                    return
                self._begun = True
                self._tell(self._assembly.take(event))
                if self._ended:  # by whoever heard the delta
                    return
                if self._assembly.broken is not None:
                    self._end(self._failure_within())
                    return
                if self._assembly.over:
                    self._watch(LAST_BYTES, self._without_end)
        except (Unreadable, TooLongEvent) as error:
            what = "is not JSON" if isinstance(error, Unreadable) else "is longer than we take"
            self._end(self._cut(Failure(FailureClass.AMBIGUOUS, f"an event of the stream {what}", http_status=200)))
        except Exception as error:  # noqa: BLE001 - the edge of the loop, where the call would have no end; it is logged
            self._end(self._cut(failure_of_bug(self._call, error)))

    def ended(self, result: http.Result) -> None:
        """What became of the request."""
        if self._ended:
            return
        try:
            self._end(self._answer(result))
        except Exception as error:  # noqa: BLE001 - the edge of the loop, where the call would have no end; it is logged
            self._end(failure_of_bug(self._call, error))

    def _answer(self, result: http.Result) -> Reply | Failure:
        if not self._begun:
            answer = self._reading.whole(result)
            if isinstance(answer, Reply):
                self._tell(delta_of(answer))
            return answer
        if self._assembly.complete:
            return self._cut_if_failed(self._whole(result.headers))
        if isinstance(result, http.Answer):
            told = "the stream ended before its answer did; it may have been billed"
            return self._cut(Failure(FailureClass.AMBIGUOUS, told, http_status=200))
        failure = self._reading.whole(result)
        return self._cut(failure) if isinstance(failure, Failure) else failure

    def _whole(self, headers: http.Headers) -> Reply | Failure:
        named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        body = orjson.dumps(self._assembly.document())
        answer = self._reading.decode(body, named)
        if isinstance(answer, Failure):
            return self._reading.decode(self._reading.masked(body), named)
        answer.limits = left_in(headers)
        return answer

    def _failure_within(self) -> Failure:
        """The error that came in the middle of the stream."""
        masked = orjson.loads(self._reading.masked(orjson.dumps(self._assembly.broken)))
        return self._cut(failure_in(masked, {}, None))

    def _cut_if_failed(self, answer: Reply | Failure) -> Reply | Failure:
        return self._cut(answer) if isinstance(answer, Failure) else answer

    def _cut(self, failure: Failure) -> Failure:
        """The failure of an answer that is not whole, with what was said counted; nothing was, nothing is known."""
        if not self._said or failure.usage is not None:
            return failure
        usage = estimated_usage(self._call.request, self._said, self._assembly.known_input)
        return replace(failure, usage=usage, estimated=True)

    def _tell(self, delta: Delta) -> None:
        if not delta:
            return
        if not self._said:
            self._watch(self._patience.idle, self._still)
        self._said += [delta.text, delta.reasoning, *(tool.arguments for tool in delta.tools)]
        if self._call.on_delta is not None:
            self._call.on_delta(delta)

    def _watch(self, seconds: float, then: Callable[[], None]) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = self._loop.call_later(seconds, then)

    def _too_late(self) -> None:
        seconds = self._patience.first_token
        self._end(Failure(FailureClass.TIMEOUT, f"no token within {seconds:g} s; it may have been billed"))

    def _still(self) -> None:
        """One timer for all pieces: when it rings too early, it is set again."""
        left = self._heard_at + self._patience.idle - self._loop.time()
        if left > 0.002:
            self._watch(left, self._still)
            return
        told = f"the answer stood still for {self._patience.idle:g} s; it may have been billed"
        self._end(self._cut(Failure(FailureClass.TIMEOUT, told)))

    def _without_end(self) -> None:
        """The answer is whole, and its connection goes on."""
        self.ended(http.Answer(200, {}, b""))

    def _end(self, answer: Reply | Failure) -> None:
        if self._ended:
            return
        self._ended = True
        self._stop()
        self._done(answer)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()


def in_one_piece(call: Call, done: Done) -> Done:
    """For a call that is not streamed although deltas were asked for: its answer is told as one."""

    def told(answer: Reply | Failure) -> None:
        if isinstance(answer, Reply) and call.on_delta is not None and (delta := delta_of(answer)):
            call.on_delta(delta)
        done(answer)

    return told


def delta_of(reply: Reply) -> Delta:
    """A whole answer as one delta."""
    calls = [(n, call) for n, call in enumerate(reply.tool_calls) if call.get("type") == "function"]
    tools = [
        ToolDelta(n, call.get("id"), call["function"].get("name"), call["function"].get("arguments") or "")
        for n, call in calls
    ]
    return Delta(reply.text or "", reply.reasoning or "", tuple(tools))
