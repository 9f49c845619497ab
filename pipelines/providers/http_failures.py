"""What an HTTP error from a provider means: the tables that turn it into a `Failure`.

An error is judged by the first of these that knows it: its code (`BY_CODE`), the provider's details, its text
(`BY_TEXT`, for servers that give no usable code), its status (`BY_STATUS`), the hundreds of its status.
Sources: the error references of OpenAI, Anthropic and the Gemini API; vLLM's and Azure's error bodies.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from synthralos.domain.failures import Failure, FailureClass

LONGEST_TEXT = 500
"""Characters of a provider's own text that a failure's message keeps."""

BY_CODE: Mapping[str, FailureClass] = {
    # Money: not a rate limit, waiting does not help.
    "insufficient_quota": FailureClass.QUOTA_EXHAUSTED,
    "credit_balance_exhausted": FailureClass.QUOTA_EXHAUSTED,
    "enforced_spend_limit_reached": FailureClass.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": FailureClass.QUOTA_EXHAUSTED,
    "billing_not_active": FailureClass.QUOTA_EXHAUSTED,
    "billing_error": FailureClass.QUOTA_EXHAUSTED,
    # Too much at once.
    "rate_limit_exceeded": FailureClass.RATE_LIMITED,
    "rate_limit_error": FailureClass.RATE_LIMITED,
    "too_many_requests": FailureClass.RATE_LIMITED,
    "resource_exhausted": FailureClass.RATE_LIMITED,
    # The provider has no capacity.
    "overloaded_error": FailureClass.OVERLOADED,
    "engine_overloaded": FailureClass.OVERLOADED,
    "server_overloaded": FailureClass.OVERLOADED,
    "slow_down": FailureClass.OVERLOADED,
    "unavailable": FailureClass.OVERLOADED,
    # It gave up waiting for its own work.
    "timeout_error": FailureClass.TIMEOUT,
    "deadline_exceeded": FailureClass.TIMEOUT,
    # The key, or what it may do.
    "invalid_api_key": FailureClass.CREDENTIAL,
    "api_key_invalid": FailureClass.CREDENTIAL,
    "authentication_error": FailureClass.CREDENTIAL,
    "permission_error": FailureClass.CREDENTIAL,
    "permission_denied": FailureClass.CREDENTIAL,
    "unauthenticated": FailureClass.CREDENTIAL,
    "account_deactivated": FailureClass.CREDENTIAL,
    "incorrect_hostname": FailureClass.CREDENTIAL,
    # The request.
    "context_length_exceeded": FailureClass.CONTEXT_LENGTH,
    "request_too_large": FailureClass.CONTEXT_LENGTH,
    "content_filter": FailureClass.CONTENT_FILTERED,
    "content_policy_violation": FailureClass.CONTENT_FILTERED,
    "responsibleaipolicyviolation": FailureClass.CONTENT_FILTERED,
    "moderation_blocked": FailureClass.CONTENT_FILTERED,
    "invalid_prompt": FailureClass.CONTENT_FILTERED,
}
"""Lower-case error codes, types and Google status names. Codes that end in `_spend_limit_exceeded` are money too."""

BY_TEXT: tuple[tuple[re.Pattern[str], FailureClass], ...] = (
    (re.compile(r"credit balance is too low", re.I), FailureClass.QUOTA_EXHAUSTED),
    (re.compile(r"api key not valid|api key expired", re.I), FailureClass.CREDENTIAL),
    (
        re.compile(
            r"prompt is too long|maximum context length|exceed(s|ed)? (the )?(context|maximum number of tokens)", re.I
        ),
        FailureClass.CONTEXT_LENGTH,
    ),
    (re.compile(r"content filtering policy|content management policy", re.I), FailureClass.CONTENT_FILTERED),
)
"""Read only in answers of status 400, 413 and 422: Anthropic, Gemini and vLLM give these no code of their own."""

BY_STATUS: Mapping[int, FailureClass] = {
    401: FailureClass.CREDENTIAL,
    402: FailureClass.QUOTA_EXHAUSTED,
    403: FailureClass.CREDENTIAL,
    # A gateway stopped waiting for a model that was at work: the call may have been billed.
    408: FailureClass.TIMEOUT,
    504: FailureClass.TIMEOUT,
    524: FailureClass.TIMEOUT,
    # Another request holds the lock; the provider asks for a repeat.
    409: FailureClass.SERVER_ERROR,
    413: FailureClass.CONTEXT_LENGTH,
    429: FailureClass.RATE_LIMITED,
    498: FailureClass.RATE_LIMITED,
    503: FailureClass.OVERLOADED,
    529: FailureClass.OVERLOADED,
}

BY_HUNDRED: Mapping[int, FailureClass] = {
    # A redirect is not followed: it would carry the key elsewhere. It means that base_url is wrong.
    3: FailureClass.SERVER_ERROR,
    4: FailureClass.INVALID_REQUEST,
    5: FailureClass.SERVER_ERROR,
}

_WORDLESS = frozenset({400, 413, 422})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\s]+")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error answer says, whichever provider said it. `codes` come most specific first."""

    text: str = ""
    codes: tuple[str, ...] = ()
    details: tuple[dict[str, Any], ...] = ()


def read_error(body: bytes | None) -> ErrorBody:
    """The error in an answer's body: OpenAI's, Anthropic's or Google's shape, or plain text. None: no body was read."""
    if not body:
        return ErrorBody()
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorBody(text=body[: 4 * LONGEST_TEXT].decode("utf-8", "replace"))
    if isinstance(document, list) and document:
        document = document[0]
    error = document.get("error", document) if isinstance(document, dict) else document
    if not isinstance(error, dict):
        return ErrorBody(text=error if isinstance(error, str) else "")
    inner = error.get("innererror")
    codes = (
        inner.get("code") if isinstance(inner, dict) else None,
        error.get("code"),
        error.get("status"),
        error.get("type"),
    )
    details = error.get("details")
    return ErrorBody(
        text=error["message"] if isinstance(error.get("message"), str) else "",
        codes=tuple(code for code in codes if isinstance(code, str) and code),
        details=tuple(d for d in details if isinstance(d, dict)) if isinstance(details, list) else (),
    )


def failure_of(status: int, headers: Mapping[str, str], error: ErrorBody, now: datetime) -> Failure:
    """The classified failure of an answer with an error `status`; `now` is for a `Retry-After` that is a date."""
    wait = retry_after(headers, now)
    return Failure(
        _class_of(status, error),
        f"HTTP {status}: {shown(error.text) or 'no reason given'}",
        retry_after=_retry_delay(error) if wait is None else wait,
        http_status=status,
        provider_code=shown(error.codes[0]) if error.codes else None,
    )


def _class_of(status: int, error: ErrorBody) -> FailureClass:
    for code in (*error.codes, *_reasons(error)):
        lowered = code.lower()
        if lowered.endswith("_spend_limit_exceeded") or "perday" in lowered:
            return FailureClass.QUOTA_EXHAUSTED
    for code in (*_reasons(error), *error.codes):
        if code.lower() in BY_CODE:
            return BY_CODE[code.lower()]
    if status in _WORDLESS:
        for pattern, failure_class in BY_TEXT:
            if pattern.search(error.text):
                return failure_class
    return BY_STATUS.get(status) or BY_HUNDRED.get(status // 100, FailureClass.AMBIGUOUS)


def _reasons(error: ErrorBody) -> Iterator[str]:
    """Google's `ErrorInfo.reason`, and the quotas that were hit: `…PerDay…` is money, `…PerMinute…` is rate."""
    for detail in error.details:
        if isinstance(detail.get("reason"), str):
            yield detail["reason"]
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict) and isinstance(violation.get("quotaId"), str):
                yield violation["quotaId"]


def _retry_delay(error: ErrorBody) -> float | None:
    """Google's `RetryInfo.retryDelay`, such as `34.5s`, in seconds."""
    for detail in error.details:
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return _seconds(delay[:-1])
    return None


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait in seconds that the provider asked for: `retry-after-ms`, or `retry-after` in seconds or as a date.

    A date (RFC 9110, section 10.2.3) is held against the answer's own `Date` where it has one, so that a
    provider's clock may differ from ours. What cannot be understood is no wish at all.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    wish = headers.get("retry-after")
    seconds = _seconds(wish)
    if seconds is not None or wish is None:
        return seconds
    until = _date(wish)
    return None if until is None else max(0.0, (until - (_date(headers.get("date")) or now)).total_seconds())


def _seconds(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def shown(text: str) -> str:
    """`text` as it may stand in a message: on one line, without control characters, at most `LONGEST_TEXT` long."""
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
