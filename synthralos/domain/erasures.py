"""Erasure of what is known of a person or a tenant: what it is about, and the states that it goes through."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from synthralos.domain.scope import Scope

ERASED = "erased-"
"""What every pseudonym begins with."""

_KEY_BYTES = 16


class OpenJobs(StrEnum):
    """What becomes of jobs that are open when it begins: they are cancelled, or it waits for their end."""

    CANCEL = "cancel"
    WAIT = "wait"


class ErasureState(StrEnum):
    """`waiting` for open jobs; `running`; `done`. None of them goes back."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. It is about what there was when it was made.

    `scope` names an organization, and perhaps a workspace or a user of it; of a person whose data is erased the user id
    is forgotten, and `pseudonym` stands in its place on the books. `counts` are what was erased, by what it was.
    """

    id: str
    scope: Scope
    open_jobs: OpenJobs
    pseudonym: str
    state: ErasureState
    created_by: str
    reason: str
    created_at: datetime
    changed_at: datetime
    step: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    finished_at: datetime | None = None


def new_key() -> str:
    """What the pseudonyms of an erasure are made with; it is forgotten when the erasure is done."""
    return secrets.token_hex(_KEY_BYTES)


def pseudonym(key: str, user: str) -> str:
    """The same for the same user within an erasure, and without the key nobody can tell whose it is."""
    if user.startswith(ERASED):
        return user
    return ERASED + hmac.new(key.encode(), user.encode(), hashlib.sha256).hexdigest()[:16]


def of_what(scope: Scope) -> str:
    """What an erasure of that scope is about."""
    return "person" if scope.user is not None else "workspace" if scope.workspace is not None else "organization"
