"""What an HTTP error from a provider means: from its status, headers and body to a `Failure`.

An error is judged by the first of these that knows it: whether it is about money (`MONEY`), its code (`BY_CODE`), the
provider's details, its text (`BY_TEXT`, for servers that give no usable code), its status (`BY_STATUS`), the hundreds
of its status.
The tables are in `error_words`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.providers import legible
from pipelines.providers.error_words import BY_CODE, BY_HUNDRED, BY_STATUS, BY_TEXT, MONEY, SPEND_LIMITS
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.money import Usage
from synthralos.domain.retry_after import believable, http_date, retry_after, seconds_in

LONGEST_TEXT = 500
"""Characters of a provider's own text that a failure's message keeps."""

_WRAPPING = frozenset({200, 500, 502})
"""Statuses under which gateways pass on an error whose own status is in the body."""

_LIMITS = ("requests", "tokens", "input-tokens", "output-tokens")
_DURATION = re.compile(
    r"(?=[0-9])(?:(?P<h>[0-9]{1,4})h)?(?:(?P<m>[0-9]{1,6})m(?!s))?(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,9})?)s)?"
    r"(?:(?P<ms>[0-9]{1,9})ms)?"
)
_STATUS = re.compile("[45][0-9][0-9]", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\s]+")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer says, whichever provider said it. `codes` come most specific first."""

    text: str = ""
    codes: tuple[str, ...] = ()
    details: tuple[dict[str, Any], ...] = ()
    status: int | None = None


def read_error(body: bytes | None) -> ErrorBody:
    """The error in an answer's body: OpenAI's, Anthropic's or Google's shape, or plain text. None: no body was read."""
    if not body:
        return ErrorBody()
    document = legible.read(body)
    if document is legible.UNREADABLE:
        return ErrorBody(text=body[: 4 * LONGEST_TEXT].decode("utf-8", "replace"))
    return read_document(document)


def read_document(document: object) -> ErrorBody:
    """The error that a document stands for, however it is wrapped."""
    error = _unwrapped(document)
    if not isinstance(error, dict):
        return ErrorBody(text=error if isinstance(error, str) else "")
    inner = error.get("innererror")
    given = (
        inner.get("code") if isinstance(inner, dict) else None,
        error.get("code"),
        error.get("status"),
        error.get("type"),
        error.get("__type"),
    )
    codes = [str(code) for code in given if isinstance(code, str | int) and not isinstance(code, bool) and code]
    texts = (error.get(name) for name in ("message", "msg", "detail", "Message", "error_description"))
    details = error.get("details")
    details = [details] if isinstance(details, dict) else details
    return ErrorBody(
        text=next((text for text in texts if isinstance(text, str)), ""),
        codes=tuple(codes),
        details=tuple(d for d in details if isinstance(d, dict)) if isinstance(details, list) else (),
        status=next((int(code) for code in codes if _STATUS.fullmatch(code)), None),
    )


def _unwrapped(document: object) -> object:
    """What lies in lists of errors, and under `error`, `errors` or `detail`."""
    for _ in range(4):
        if isinstance(document, list) and document:
            document = document[0]
        elif isinstance(document, dict):
            inner = next((i for i in map(document.get, ("error", "errors", "detail")) if i), None)
            if inner is None or (isinstance(inner, str) and isinstance(document.get("message"), str)):
                break
            document = inner
        else:
            break
    return document


def failure_of(
    status: int, headers: Mapping[str, str], error: ErrorBody, now: datetime, usage: Usage | None = None
) -> Failure:
    """The classified failure of an answer with an error `status`; `now` is for a `Retry-After` that is a date.

    Where the error has a status of its own and came through a gateway, that one counts. `usage` was billed.
    """
    wait = retry_after(headers, now)
    wait = _reset_of(headers, now) if wait is None else wait
    own = error.status if error.status is not None and status in _WRAPPING else status
    said = f"HTTP {status}" if own == status else f"HTTP {status} with error {own}"
    return Failure(
        _class_of(own, error),
        f"{said}: {shown(error.text) or 'no reason given'}",
        retry_after=_retry_delay(error) if wait is None else wait,
        http_status=status,
        provider_code=shown(error.codes[0]) if error.codes else None,
        usage=usage,
    )


def _class_of(status: int, error: ErrorBody) -> FailureClass:
    if _is_about_money(error):
        return FailureClass.QUOTA_EXHAUSTED
    for code in (*_reasons(error), *error.codes):
        if code.lower() in BY_CODE:
            return BY_CODE[code.lower()]
    for pattern, failure_class, statuses in BY_TEXT:
        if status in statuses and pattern.search(error.text):
            return failure_class
    return BY_STATUS.get(status) or BY_HUNDRED.get(status // 100, FailureClass.AMBIGUOUS)


def _is_about_money(error: ErrorBody) -> bool:
    """Whether waiting for a moment brings nothing back: asked first, as these errors have the codes of rate limits."""
    named = [code.lower() for code in (*error.codes, *_reasons(error))]
    if any(name.endswith(SPEND_LIMITS) or "perday" in name for name in named):
        return True
    empty = any(violation.get("quotaValue") == "0" for violation in _violations(error))
    return empty or MONEY.search(error.text) is not None


def _reasons(error: ErrorBody) -> Iterator[str]:
    """What the details name as the reason, and the quotas that were hit: `…PerDay…` is money, `…PerMinute…` is rate.

    Google's `ErrorInfo.reason` and `QuotaFailure.violations`, Anthropic's `error_code`.
    """
    for detail in error.details:
        yield from (name for name in map(detail.get, ("reason", "error_code")) if isinstance(name, str))
    for violation in _violations(error):
        if isinstance(violation.get("quotaId"), str):
            yield violation["quotaId"]


def _violations(error: ErrorBody) -> Iterator[dict[str, Any]]:
    for detail in error.details:
        violations = detail.get("violations")
        yield from (v for v in violations if isinstance(v, dict)) if isinstance(violations, list) else ()


def _retry_delay(error: ErrorBody) -> float | None:
    """Google's `RetryInfo.retryDelay`, such as `34.5s`, in seconds."""
    for detail in error.details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return seconds_in(delay[:-1])
    return None


def _reset_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the last of the limits that are used up is full again, where an answer says when.

    Anthropic names the time, OpenAI and Azure how long it takes: `6m0s`, `120ms`, or seconds alone.
    """
    used_up = [limit for limit in _LIMITS[:2] if headers.get(f"x-ratelimit-remaining-{limit}") == "0"]
    waits = [_duration(headers.get(f"x-ratelimit-reset-{limit}")) for limit in used_up]
    for limit in _LIMITS:
        if headers.get(f"anthropic-ratelimit-{limit}-remaining") == "0":
            reset = _instant(headers.get(f"anthropic-ratelimit-{limit}-reset"))
            waits.append(None if reset is None else (reset - (http_date(headers.get("date")) or now)).total_seconds())
    known = [wait for wait in waits if wait is not None]
    return believable(max(known)) if known else None


def _duration(text: str | None) -> float | None:
    found = _DURATION.fullmatch(text or "")
    if found is None:
        return seconds_in(text)
    parts = {name: float(value or 0) for name, value in found.groupdict().items()}
    return 3600 * parts["h"] + 60 * parts["m"] + parts["s"] + parts["ms"] / 1000


def _instant(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def shown(text: str) -> str:
    """`text` as it may stand in a message: on one line, without control characters, at most `LONGEST_TEXT` long."""
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
