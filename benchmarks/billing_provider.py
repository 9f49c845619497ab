"""An OpenAI-compatible server that misbehaves and bills by its own count: `python -m benchmarks.billing_provider PORT`.

What becomes of a call hangs on its idempotency key (`JOB/ATTEMPT`) alone, so that every run meets the same. `GET /bill`
gives a line for each call that came, `GET /count` their number: job and attempt, the model, the tokens that are billed
(0: none), and whether the whole answer was sent to somebody who was still there. A line is written before its answer.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from zlib import crc32

import uvloop

from benchmarks.slow_provider import Conversation

LATE_SECONDS = 12.0
"""Later than any client waits for."""

_THINKING = (0.3, 1.5)
"""Seconds before an answer: so there are always calls in flight when a worker is killed."""

_WORDS = 8

_LIMITS = b"x-ratelimit-limit-requests: 600000\r\nx-ratelimit-remaining-requests: 400000\r\n"
"""A quota that is never used up is told with every answer: who is told none is paced by what was refused."""

_RETRY = b"retry-after-ms: 50\r\n"


class Fate(StrEnum):
    """What becomes of a call."""

    GOOD = "good"
    FAILED = "failed"
    LIMITED = "limited"
    CUT_BEFORE = "cut_before"
    CUT_WITHIN = "cut_within"
    LATE = "late"
    REPEATED = "repeated"


SHARES = (
    (Fate.FAILED, 2),
    (Fate.LIMITED, 3),
    (Fate.CUT_BEFORE, 2),
    (Fate.CUT_WITHIN, 3),
    (Fate.LATE, 1),
    (Fate.REPEATED, 4),
)
"""Of a hundred calls; all others are good. Where many more fail, circuit breakers keep the calls away for minutes."""


@dataclass(slots=True)
class Line:
    """One call on the bill."""

    job_id: str
    attempt_no: int
    model: str
    fate: Fate
    input_tokens: int = 0
    output_tokens: int = 0
    answered: bool = False


class Provider(Conversation):
    """One connection to it."""

    def __init__(self, bill: list[Line]) -> None:
        super().__init__()
        self._bill = bill

    def asked(self, head: bytes, body: bytes) -> None:
        """Bill the call, and answer it after a while as its fate is."""
        if head.startswith(b"GET /count"):
            self._send(b"%d" % len(self._bill))
            return
        if head.startswith(b"GET /bill"):
            self._send(json.dumps([asdict(line) for line in self._bill]).encode())
            return
        request = json.loads(body)
        job_id, attempt = _header(head, b"idempotency-key").split("/")
        chance = crc32(f"{job_id}/{attempt}".encode())
        line = Line(job_id, int(attempt), request["model"], fate_of(chance % 100))
        if line.fate not in (Fate.FAILED, Fate.LIMITED):
            line.input_tokens, line.output_tokens = 100 + chance % 389, _WORDS * (1 + chance % 97)
        self._bill.append(line)
        first, last = _THINKING
        seconds = LATE_SECONDS if line.fate is Fate.LATE else first + (last - first) * (chance % 1009) / 1009
        answer = self._stream if request.get("stream") else self._answer
        asyncio.get_running_loop().call_later(seconds, answer, line)

    def _answer(self, line: Line) -> None:
        whole = _completion(line, {"message": {"role": "assistant", "content": "word " * _WORDS}})
        if line.fate is Fate.FAILED:
            self._send(_error("The server had an error."), b"500 Internal Server Error")
        elif line.fate is Fate.LIMITED:
            self._send(_error("Rate limit reached."), b"429 Too Many Requests", _RETRY)
        elif line.fate is Fate.CUT_BEFORE:
            self._transport.close()
        elif line.fate is Fate.CUT_WITHIN:
            self._write(_head(len(whole)) + whole[: len(whole) // 2])
            self._transport.close()
        else:
            line.answered = self._send(whole)
            if line.fate is Fate.REPEATED:
                self._send(whole)

    def _stream(self, line: Line) -> None:
        if line.fate in (Fate.FAILED, Fate.LIMITED, Fate.CUT_BEFORE):
            self._answer(line)
            return
        words = [_event(_chunk(line, {"content": "word "})) for _ in range(_WORDS)]
        kind = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
        self._write(b"HTTP/1.1 200 OK\r\n" + kind + _LIMITS + b"\r\n")
        if line.fate is Fate.CUT_WITHIN:
            self._write(_chunked(b"".join(words[: _WORDS // 2])))
            self._transport.close()
            return
        ending = _event({**_chunk(line, {}), "choices": [], "usage": _usage(line)}) + b"data: [DONE]\n\n"
        stop = _event(_chunk(line, {}, "stop"))
        there = not self._transport.is_closing()
        self._write(_chunked(b"".join((*words, stop, ending))) + b"0\r\n\r\n")
        line.answered = there

    def _send(self, body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bool:
        """Whether there was somebody to send it to."""
        there = not self._transport.is_closing()
        self._write(_head(len(body), status, more) + body)
        return there

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


def fate_of(percent: int) -> Fate:
    """The fate of the calls at that place of a hundred."""
    for fate, share in SHARES:
        if percent < share:
            return fate
        percent -= share
    return Fate.GOOD


def _head(length: int, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%b%bContent-Length: %d\r\n\r\n"
    return head % (status, _LIMITS, more, length)


def _header(head: bytes, name: bytes) -> str:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next(value.strip().decode() for key, _, value in lines if key.lower() == name)


def _usage(line: Line) -> dict[str, int]:
    asked, told = line.input_tokens, line.output_tokens
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}


def _completion(line: Line, choice: dict[str, object]) -> bytes:
    whole = {"index": 0, **choice, "finish_reason": "stop"}
    document = {"id": "c", "object": "chat.completion", "created": 1, "model": line.model, "choices": [whole]}
    return json.dumps({**document, "usage": _usage(line)}).encode()


def _chunk(line: Line, delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": line.model, "choices": [choice]}


def _event(document: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "error", "code": None}}).encode()


async def serve(port: int) -> None:
    """Until the process is ended."""
    bill: list[Line] = []
    server = await asyncio.get_running_loop().create_server(lambda: Provider(bill), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
