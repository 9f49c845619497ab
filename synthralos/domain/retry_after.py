"""`Retry-After`, the wait that a server asks for: read in one place for providers, destinations and webhooks."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_SECONDS = 30 * 86_400.0
"""A wish to wait for longer than this is none: it cannot be true."""

_BETWEEN_MEMBERS = re.compile("(?<!Mon|Tue|Wed|Thu|Fri|Sat|Sun|day),")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """The wait in seconds that the server asked for: `retry-after-ms`, or `retry-after` in seconds or as a date.

    Names of `headers` are in lower case. A date (RFC 9110, section 10.2.3) is held against the answer's own `Date`
    where it has one, so that a server's clock may differ from ours. What cannot be understood is no wish at all. Of
    several wishes, which proxies add and the transport joins with commas, the longest counts; whole seconds that are
    the milliseconds rounded up are no longer wish.
    """
    exact = [each / 1000 for part in _parts(headers.get("retry-after-ms")) if (each := seconds_in(part)) is not None]
    whole = [each for part in _parts(headers.get("retry-after")) if (each := _wish(part, headers, now)) is not None]
    longest = max(exact, default=None)
    longer = [each for each in whole if longest is None or each - longest > 1.0]
    return max(longer, default=longest)


def seconds_in(text: str | None) -> float | None:
    """The seconds that a text says; None where it is no number, or cannot be true."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return believable(number)


def believable(seconds: float) -> float | None:
    """The seconds, 0 at least; None where they cannot be true."""
    return max(0.0, seconds) if math.isfinite(seconds) and seconds <= MOST_SECONDS else None


def http_date(text: str | None) -> datetime | None:
    """The instant of an HTTP date, in UTC; None where it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError, IndexError):  # what is thrown at dates that cannot be
        return None


def _parts(value: str | None) -> list[str]:
    """The members of a header that came several times; a date has a comma of its own."""
    return [] if value is None else _BETWEEN_MEMBERS.split(value)


def _wish(text: str, headers: Mapping[str, str], now: datetime) -> float | None:
    seconds = seconds_in(text)
    if seconds is not None:
        return seconds
    until = http_date(text)
    return None if until is None else believable((until - (http_date(headers.get("date")) or now)).total_seconds())
