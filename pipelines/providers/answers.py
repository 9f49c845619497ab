"""What all decoders share: an answer of status 200 as a document, its names, and what it means where it is none.

The answer was paid for, so it is kept if any reading of it makes sense; where none does, its usage is booked all the
same. Status 200 is not success: some servers and gateways put their errors there.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipelines.providers import legible
from pipelines.providers.http_failures import failure_of, read_document, shown
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage

LONGEST_NAME = 200
"""Characters that are kept of what a provider calls its model, its request, or the reason of an end."""


ReadUsage = Callable[[object], Usage | None]


def read_object(
    body: bytes, headers: Mapping[str, str], read_usage: ReadUsage, usage_name: str = "usage"
) -> dict[str, Any] | Failure:
    """The JSON object of a body, alone or in a list; else a failure with the usage that was found in it all the same.

    `headers` are those of the answer, in lower case; `usage_name` is what the protocol calls its usage.
    """
    document = legible.read(body, _charset(headers))
    if document is legible.UNREADABLE:
        return _unknown_end("the answer is not JSON", read_usage(legible.find_usage(body, usage_name)))
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    return document if isinstance(document, dict) else _unknown_end("the answer is not a JSON object", None)


def failure_in(document: dict[str, Any], headers: Mapping[str, str], usage: Usage | None) -> Failure:
    """The failure that an error within an answer of status 200 stands for: the server's own, where it says no more."""
    failure = failure_of(200, headers, read_document(document), datetime.now(UTC), usage)
    known = failure.failure_class is not FailureClass.AMBIGUOUS
    return failure if known else replace(failure, failure_class=FailureClass.SERVER_ERROR)


def not_an_answer(document: dict[str, Any], headers: Mapping[str, str], usage: Usage | None, problem: str) -> Failure:
    """An error without the usual wrapping, if it says of which kind it is; else nobody knows what was done."""
    error = read_document(document)
    if error.codes or error.status is not None:
        failure = failure_of(200, headers, error, datetime.now(UTC), usage)
        if failure.failure_class is not FailureClass.AMBIGUOUS:
            return failure
    return _unknown_end(problem, usage)


def _unknown_end(problem: str, usage: Usage | None) -> Failure:
    billed = "; it was billed" if usage is not None else "; it may have been billed"
    return Failure(FailureClass.AMBIGUOUS, problem + billed, http_status=200, usage=usage)


def misfit(problem: str, usage: Usage | None) -> Failure:
    """An answer that is not what was asked for. It was paid for all the same."""
    return Failure(FailureClass.SCHEMA_MISMATCH, shown(f"{problem}; it was billed"), None, 200, None, usage)


def withheld(reason: str, usage: Usage | None) -> Failure:
    """The provider's filter stopped the prompt or the answer; what it reports as used was billed.

    `reason` goes on from there: `: SAFETY`, or nothing.
    """
    return Failure(
        FailureClass.CONTENT_FILTERED, shown(f"the provider withheld the answer{reason}"), None, 200, None, usage
    )


def name_in(value: object) -> str | None:
    """What a provider calls something, fit to be shown; None where it is no text."""
    return (shown(value)[:LONGEST_NAME] or None) if isinstance(value, str) else None


def request_id(headers: Mapping[str, str], own: object) -> str | None:
    """The id under which the provider knows the call: its header's, else the answer's `own`."""
    return name_in(headers.get("x-request-id") or headers.get("request-id")) or name_in(own)


def _charset(headers: Mapping[str, str]) -> str | None:
    _, _, charset = headers.get("content-type", "").lower().partition("charset=")
    return charset.partition(";")[0].strip(' "') or None
