"""`Idempotency-Key` on calls that make something else than jobs: the same key and body get the same answer."""

import hashlib
import re
from typing import Any

import orjson
from starlette.requests import Request

from api.http.problems import Problem, invalid_field
from synthralos.domain.scope import Scope

KEY_FIELD = "header.Idempotency-Key"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


def checked_key(key: str | None) -> str | None:
    """The key of the header, where there is one; raises a 422 for one that cannot be kept."""
    if key is not None and not _KEY.fullmatch(key):
        raise invalid_field(KEY_FIELD, "must be 1 to 255 printable ASCII characters", "send a UUID, for example")
    return key


def own_key(request: Request, scope: Scope, kind: str) -> str | None:
    """The caller's key as it is stored for one kind of things, so that each kind has its own.

    No key holds a line feed, and no name a tab: none can be mistaken for another kind's, another user's, or a job's.
    """
    key = checked_key(request.headers.get("idempotency-key"))
    if key is None:
        return None
    return "\n".join([f"\t{kind}", *([] if scope.user is None else [scope.user]), key])


def fingerprint(document: Any) -> str:
    """What tells two bodies apart."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def reused() -> Problem:
    """422: the key was used before with another body."""
    return invalid_field(KEY_FIELD, "was used before with another body", "use a new key for a new request")
