"""What a destination's HTTP status means: the same for all that speak HTTP."""

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from pipelines.analyze.exporters.splitting import Fault, Refusal, Reply
from pipelines.posting import Posted
from synthralos.domain.exports import Rest

STOPPED_FOR = 600.0
"""Seconds until a destination that refuses our key, or is not there, is tried again."""

BUSY_FOR = 30.0
"""Seconds for which one that is busy is left alone, where it does not say for how long."""

LONGEST_REST = 3_600.0
"""Seconds that a destination may ask for at most."""

_LOST = frozenset({401, 402, 403, 404, 405, 407, 410})
"""Our key or the address is wrong: nothing that we send will be taken until somebody mends it."""

_LONGEST_TEXT = 200


def reply_of(posted: Posted, partial: bool = False) -> Reply:
    """What is to be done. `partial`: the body says that some of it was not taken."""
    reason = f"HTTP {posted.status}{_text(posted.body)}"
    if 200 <= posted.status < 300:
        return Refusal(Fault.INVALID, reason) if partial or posted.status == 207 else None
    if posted.status == 413:
        return Refusal(Fault.TOO_LARGE, reason)
    if posted.status in _LOST or 300 <= posted.status < 400:
        return Rest(STOPPED_FOR, reason, stopped=True)
    asked = retry_after(posted.headers, time.time())
    if posted.status == 429:
        return Rest(BUSY_FOR if asked is None else asked, reason)
    if posted.status >= 500 or posted.status in (408, 425):
        if asked is not None:
            return Rest(asked, reason)
        raise ConnectionError(reason)
    return Refusal(Fault.INVALID, reason)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds, from either form of the header; None where it is missing or no such thing. `now`: seconds since 1970."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value) if value.replace(".", "", 1).isdigit() else _until(value, now)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_REST)


def _until(value: str, now: float) -> float:
    return parsedate_to_datetime(value).timestamp() - now


def _text(body: bytes) -> str:
    """The beginning of what was said, on one line."""
    text = " ".join(body[: 4 * _LONGEST_TEXT].decode(errors="replace").split())
    return f": {text[:_LONGEST_TEXT]}" if text.isprintable() and text else ""
