"""The offline provider: deterministic answers, made-up bills, and misbehavior on command.

It answers from the prompt alone, so that the same request always gets the same answer. A token is four bytes of
UTF-8, rounded up per text; a message costs three more. `request.provider_options["sandbox"]` makes it misbehave:

- `delay_seconds`: how long it works on every call. Longer than the call's timeout: a timeout.
- `failures`: one failure class, or null, per attempt number, the first for attempt 1.
- `failures_at`: `{deployment id: failure class}`, for every attempt there that `failures` says nothing about.
- `retry_after_seconds`: what its failures ask for.
- `output_tokens`: how many tokens it bills for the answer, whatever its length.
- `text`: the answer itself.
- `deltas_before_failure`: how many pieces of the answer a failing call tells first, where it is streamed.

Vectors are made of the words of their texts; `text` and `output_tokens` change nothing of them.

A streamed answer is told word by word, spread over the time that the call takes.

A call that is told to fail with `timeout` hangs until the call's own timeout is over, and no longer. One that is told
to fail with `schema_mismatch` is answered, with what does not fit, where its request asks for JSON.

Every call is on its bill from the moment it arrives, before any delay, as one JSON line of one `O_APPEND` write
(so that many processes can share the file, and a killed worker's calls are on it). Billed is what a real provider
would bill: answers, and the calls that may have been (`timeout`, `ambiguous`). A line's `cost_usd` is a string.
"""

import asyncio
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from pipelines.providers.protocol import Call, Cancel, Done, end_soon
from pipelines.providers.sandbox_answers import answer, misfit_answer, tokens, wants_json
from pipelines.providers.sandbox_telling import Told, in_pieces
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import ANSWERED, MAYBE_BILLED, Failure, FailureClass
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage

LONGEST_DELAY = 3600.0
"""Seconds that `delay_seconds` and `retry_after_seconds` may be at most."""

MOST_TOKENS = 10_000_000
MOST_TEXT = 1_000_000

TOKENS_PER_MESSAGE = 3


def _seconds(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number of seconds"
    return None if math.isfinite(value) and 0 <= value <= LONGEST_DELAY else f"must be between 0 and {LONGEST_DELAY:g}"


def _token_count(value: object) -> str | None:
    return None if type(value) is int and 0 <= value <= MOST_TOKENS else f"must be an integer from 0 to {MOST_TOKENS}"


def _words(value: object) -> str | None:
    return None if isinstance(value, str) and len(value) <= MOST_TEXT else f"must be at most {MOST_TEXT} characters"


_SIMPLE: Mapping[str, Callable[[object], str | None]] = {
    "delay_seconds": _seconds,
    "retry_after_seconds": _seconds,
    "output_tokens": _token_count,
    "deltas_before_failure": _token_count,
    "text": _words,
}
_NAMES = sorted([*_SIMPLE, "failures", "failures_at"])
_CLASSES = frozenset(str(failure_class) for failure_class in FailureClass)
_NO_CLASS = f"must be one of: {', '.join(sorted(_CLASSES))}"


def check_options(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with `provider_options["sandbox"]`: (field, problem) each."""
    problems: list[tuple[str, str]] = []
    for name, value in options.items():
        if name in _SIMPLE:
            problem = _SIMPLE[name](value)
            problems += [] if problem is None else [(name, problem)]
        elif name == "failures":
            problems += _check_failures(value)
        elif name == "failures_at":
            problems += _check_failures_at(value)
        else:
            problems.append((name, f"is not an option of the sandbox, which has {', '.join(_NAMES)}"))
    return problems


def _check_failures(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        return [("failures", "must be a list of failure classes or null, one per attempt")]
    return [
        (f"failures[{index}]", f"{_NO_CLASS}, or null")
        for index, name in enumerate(value)
        if name is not None and not _is_class(name)
    ]


def _check_failures_at(value: object) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return [("failures_at", "must map deployment ids to failure classes")]
    return [(f"failures_at.{deployment}", _NO_CLASS) for deployment, name in value.items() if not _is_class(name)]


def _is_class(name: object) -> bool:
    return isinstance(name, str) and name in _CLASSES


@dataclass(frozen=True, slots=True)
class _Course:
    """What will happen to a call: decided when it arrives, so that it can be billed before it happens."""

    seconds: float
    end: Reply | Failure
    usage: Usage
    pieces: tuple[str, ...] = ()

    @property
    def billed(self) -> bool:
        return isinstance(self.end, Reply) or self.end.failure_class in MAYBE_BILLED | ANSWERED

    @property
    def outcome(self) -> str:
        return "succeeded" if isinstance(self.end, Reply) else str(self.end.failure_class)


class SandboxProvider:
    """Answers offline. `calls` counts by outcome; `billed` is the bill in USD of what has a price."""

    def __init__(self, bill: Path | None = None) -> None:
        self.calls: Counter[str] = Counter()
        self.billed = Decimal(0)
        self._bill_path = bill
        self._bill_file: int | None = None

    def begin(self, call: Call, done: Done) -> Cancel:
        """Do what the request says, within `call.timeout` seconds; see `Provider`."""
        options = call.request.provider_options.get("sandbox", {})
        problems = check_options(options)
        if problems:
            field, problem = problems[0]
            course = _Course(
                0.0, Failure(FailureClass.INVALID_REQUEST, f"sandbox option {field} {problem}"), Usage(0, 0)
            )
        else:
            course = _course(call, options)
        self._book(call, course)
        if call.on_delta is not None and course.pieces:
            return Told(course.seconds, course.pieces, course.end, call.on_delta, done).begin()
        if not course.seconds:
            return end_soon(course.end, done)
        return asyncio.get_running_loop().call_later(course.seconds, done, course.end).cancel

    async def close(self) -> None:
        """Close the bill."""
        file, self._bill_file = self._bill_file, None
        if file is not None:
            os.close(file)

    def _book(self, call: Call, course: _Course) -> None:
        price = call.deployment.price
        cost = price.cost(course.usage) if price is not None and course.billed else None
        self.calls[course.outcome] += 1
        self.billed += cost or Decimal(0)
        if self._bill_path is None:
            return
        line = {
            "job_id": call.job_id,
            "attempt_no": call.attempt_no,
            "deployment": call.deployment.id,
            "outcome": course.outcome,
            "billed": course.billed,
            "input_tokens": course.usage.input if course.billed else 0,
            "output_tokens": course.usage.output if course.billed else 0,
            "cost_usd": None if cost is None else format(cost, "f"),
        }
        if self._bill_file is None:
            self._bill_file = os.open(self._bill_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(self._bill_file, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _course(call: Call, options: Mapping[str, Any]) -> _Course:
    failure_class = _told_to_fail(call, options)
    misfit = failure_class is FailureClass.SCHEMA_MISMATCH and wants_json(call.request)
    reply, usage = _reply(call, {**options, "text": misfit_answer(call.request)} if misfit else options)
    if misfit:
        failure_class = None
    longest = max(map(tokens, call.request.inputs)) if call.request.embeds else usage.input
    if failure_class is None and longest > call.deployment.context_window:
        failure_class = FailureClass.CONTEXT_LENGTH
    delay = float(options.get("delay_seconds", 0.0))
    pieces = in_pieces(reply.text or "") if call.on_delta is not None else ()
    told = pieces[: options.get("deltas_before_failure", 0)]
    if failure_class is FailureClass.TIMEOUT or delay >= call.timeout:
        failure = Failure(FailureClass.TIMEOUT, f"no answer within {call.timeout:g} s; it may have been billed")
        return _Course(call.timeout, failure, usage, told)
    if failure_class is None:
        return _Course(delay, reply, usage, pieces)
    message = f"the sandbox was told to fail with {failure_class}"
    if failure_class is FailureClass.CONTEXT_LENGTH:
        message = f"{longest} tokens; {call.deployment.id} takes {call.deployment.context_window}"
    known = usage if failure_class in ANSWERED else None
    failure = Failure(failure_class, message, retry_after=options.get("retry_after_seconds"), usage=known)
    return _Course(delay, failure, usage, told)


def _told_to_fail(call: Call, options: Mapping[str, Any]) -> FailureClass | None:
    failures = options.get("failures", ())
    name = failures[call.attempt_no - 1] if 0 < call.attempt_no <= len(failures) else None
    name = name or options.get("failures_at", {}).get(call.deployment.id)
    return None if name is None else FailureClass(name)


def _reply(call: Call, options: Mapping[str, Any]) -> tuple[Reply, Usage]:
    request, deployment = call.request, call.deployment
    if request.embeds:
        return _embedded(call)
    limit = min(request.max_output_tokens or deployment.max_output, deployment.max_output)
    text = options.get("text")
    text = answer(request) if text is None else text
    wanted = options.get("output_tokens", tokens(text))
    if tokens(text) > limit:
        text = text.encode("utf-8", "replace")[: 4 * limit].decode("utf-8", "ignore")
    usage = Usage(_input_tokens(request), min(wanted, limit))
    reply = Reply(
        text=text,
        usage=usage,
        finish_reason="length" if wanted > limit else "stop",
        model=deployment.upstream_model,
        provider_request_id=f"sandbox-{call.job_id}-{call.attempt_no}",
    )
    return reply, usage


def _embedded(call: Call) -> tuple[Reply, Usage]:
    from pipelines.providers.sandbox_vectors import vectors  # noqa: PLC0415 - numpy, which only workers need

    usage = Usage(_input_tokens(call.request), 0)
    reply = Reply(
        text=None,
        usage=usage,
        model=call.deployment.upstream_model,
        provider_request_id=f"sandbox-{call.job_id}-{call.attempt_no}",
        embeddings=vectors(call.request),
    )
    return reply, usage


def _input_tokens(request: Request) -> int:
    return TOKENS_PER_MESSAGE * len(request.messages) + sum(tokens(text) for text in request.texts())
