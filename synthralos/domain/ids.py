"""Identifiers. All ids are UUIDv7 strings: unique without coordination, and ordered by time."""

from datetime import datetime

import uuid_utils

ID_LENGTH = 36
"""Characters of every id."""


def new_id() -> str:
    """A new UUIDv7 (RFC 9562) in its canonical 36-character form."""
    return str(uuid_utils.uuid7())


def id_at(moment: datetime) -> str:
    """The least id that could have been made at that time."""
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return str(uuid_utils.UUID(int=milliseconds << 80))


def is_id(text: str) -> bool:
    """Whether `text` is a UUID in canonical form, so that it can be looked up."""
    if len(text) != ID_LENGTH:
        return False
    try:
        return str(uuid_utils.UUID(text)) == text.lower()
    except ValueError:
        return False


def trace_id_of(job_id: str) -> str:
    """The W3C trace id (32 hex digits) of a job that arrived without a `traceparent`."""
    return job_id.replace("-", "")


def job_id_of(trace_id: str) -> str | None:
    """The job whose own trace id that would be, or None where it is the form of none."""
    if len(trace_id) != 32:
        return None
    try:
        return str(uuid_utils.UUID(trace_id))
    except ValueError:
        return None
