"""`Idempotency-Key` on calls that make something else than jobs: the same key and body get the same answer."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.http.auth import Caller
from api.http.problems import Problem, invalid_field
from api.room import Room
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By
from synthralos.store.queue.idempotency import KeyReusedError, MadeBeforeError, Once, made_under
from synthralos.store.queue.submissions import Idempotency

KEY_FIELD = "header.Idempotency-Key"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


def checked_key(key: str | None) -> str | None:
    """The key of the header, where there is one; raises a 422 for one that cannot be kept."""
    if key is not None and not _KEY.fullmatch(key):
        raise invalid_field(KEY_FIELD, "must be 1 to 255 printable ASCII characters", "send a UUID, for example")
    return key


def _own_key(request: Request, scope: Scope) -> str | None:
    """The caller's key as it is stored. No key holds a line feed, and no name a tab: no other user's is the same, and
    no job's.
    """
    key = checked_key(request.headers.get("idempotency-key"))
    if key is None:
        return None
    return "\n".join(["\tcall", *([] if scope.user is None else [scope.user]), key])


def fingerprint(document: Any) -> str:
    """What tells two bodies apart."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def reused() -> Problem:
    """422: the key was used before with another body."""
    return invalid_field(KEY_FIELD, "was used before with another body", "use a new key for a new request")


async def once(
    request: Request,
    room: Room,
    caller: Caller,
    wanted: BaseModel,
    make: Callable[[By], Awaitable[Response]],
    again: Callable[[str], Awaitable[Response]],
) -> Response:
    """What `make` answers; where the call's `Idempotency-Key` made something before, what `again` says of that.

    `make` hands its `By` to the store, which keeps what it makes under the key, in the same transaction. `wanted` has
    the reason. Raises a 422 for a key that was used with another body, or on another path.
    """
    reason, path = getattr(wanted, "reason", None) or "", request.url.path
    key = _own_key(request, caller.scope)
    if key is None:
        return await make(By(caller.actor, reason))
    used = Idempotency(key, fingerprint([path, wanted.model_dump(mode="json")]))
    keyed = Once(caller.scope.organization or "", caller.scope.workspace or "", used)
    try:
        made = await room.read(lambda: made_under(room.core.database, keyed))
        if made is None:
            return await make(By(caller.actor, reason, keyed))
    except KeyReusedError:
        raise reused() from None
    except MadeBeforeError as error:
        made = error.made
    response = await again(made)
    response.headers["Idempotent-Replayed"] = "true"
    return response
