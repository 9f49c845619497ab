"""What a destination's HTTP status means: the same for all that speak HTTP."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pipelines.analyze.exporters.splitting import Fault, Refusal, Reply
from pipelines.posting import Posted
from synthralos.domain.exports import Rest
from synthralos.domain.retry_after import retry_after

STOPPED_FOR = 600.0
"""Seconds until a destination that refuses our key, or is not there, is tried again."""

LONGEST_REST = 3_600.0
"""Seconds that a destination may ask for at most."""

_LOST = frozenset({401, 402, 403, 404, 405, 407, 410})
"""Our key or the address is wrong: nothing that we send will be taken until somebody mends it."""

_BUSY = frozenset({408, 425, 429})
"""It will take it later."""

_LONGEST_TEXT = 200


def reply_of(posted: Posted, *, partial: bool = False, remedies: Mapping[int, str] | None = None) -> Reply:
    """What is to be done. `partial`: the body says that some of it was not taken. `remedies`: for people, by status.

    Raises `ConnectionError` where the destination is away or busy and does not say for how long.
    """
    reason = f"HTTP {posted.status}{_text(posted.body)}"
    if 200 <= posted.status < 300:
        if posted.headers.get("content-type", "").startswith("text/html"):
            return Rest(STOPPED_FOR, f"{reason}: a page for people answered, not the destination", stopped=True)
        return Refusal(Fault.INVALID, reason) if partial or posted.status == 207 else None
    if posted.status == 413:
        return Refusal(Fault.TOO_LARGE, reason)
    if posted.status in _LOST or 300 <= posted.status < 400:
        remedy = (remedies or {}).get(posted.status)
        return Rest(STOPPED_FOR, reason if remedy is None else f"{reason}: {remedy}", stopped=True)
    if posted.status in _BUSY or posted.status >= 500:
        asked = retry_after(posted.headers, datetime.now(UTC))
        if asked is not None:
            return Rest(min(asked, LONGEST_REST), reason)
        raise ConnectionError(reason)
    return Refusal(Fault.INVALID, reason)


def _text(body: bytes) -> str:
    """The beginning of what was said, on one line."""
    text = " ".join(body[: 4 * _LONGEST_TEXT].decode(errors="replace").split())
    return f": {text[:_LONGEST_TEXT]}" if text.isprintable() and text else ""
