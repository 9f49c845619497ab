"""Who is calling: API keys, looked up at most once every two seconds, and what their roles allow."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from api.problems import forbidden, unauthorized
from synthralos.domain.scope import Scope
from synthralos.store.admin.keys import PREFIX, ApiKey, Role, digest
from synthralos.telemetry.context import note

CACHE_SECONDS = 2.0
"""How long a revoked key may go on working, at most."""

_MOST_CACHED = 10_000
_LONGEST_SECRET = 200

RANK: Mapping[Role, int] = {Role.VIEWER: 0, Role.SERVICE: 1, Role.OPERATOR: 2, Role.ADMIN: 3}

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. Every read and every operation goes through `scope`."""

    key: ApiKey

    @property
    def scope(self) -> Scope:
        """What the caller may see and move."""
        return self.key.scope

    @property
    def actor(self) -> str:
        """The caller's name on record: the beginning of the key, as `keys list` shows it."""
        return f"key:{self.key.prefix}"


class BriefCache(Generic[Value]):
    """Values that are looked up again after `seconds`; concurrent lookups of one name are one lookup."""

    def __init__(self, seconds: float = CACHE_SECONDS) -> None:
        self._seconds = seconds
        self._known: dict[str, tuple[float, Value]] = {}
        self._asked: dict[str, asyncio.Task[Value]] = {}

    def known(self, name: str) -> tuple[Value] | None:
        """The value in a tuple, while it is fresh."""
        found = self._known.get(name)
        return (found[1],) if found is not None and found[0] > time.monotonic() else None

    async def get(self, name: str, look_up: Callable[[], Awaitable[Value]]) -> Value:
        """The value, at most `seconds` old; raises what `look_up` raises."""
        found = self.known(name)
        if found is not None:
            return found[0]
        task = self._asked.get(name)
        if task is None:
            task = self._asked[name] = asyncio.create_task(self._ask(name, look_up))
            # Whoever asked may be gone by the time an error comes; it is nobody's then.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    async def _ask(self, name: str, look_up: Callable[[], Awaitable[Value]]) -> Value:
        try:
            value = await look_up()
        finally:
            del self._asked[name]
        if len(self._known) >= _MOST_CACHED:
            self._known.clear()
        self._known[name] = (time.monotonic() + self._seconds, value)
        return value


class Authenticator:
    """Admits requests by the key in their `Authorization` header."""

    def __init__(self, find: Callable[[str], Awaitable[ApiKey | None]]) -> None:
        """`find` looks up a key by its secret."""
        self._find = find
        self._keys: BriefCache[ApiKey | None] = BriefCache()

    async def admit(self, authorization: str | None, role: Role) -> Caller:
        """The caller by that header, who has at least `role`; raises 401 or 403."""
        secret = _secret_of(authorization or "")
        # By digest, so that the cache keeps no secrets.
        key = await self._keys.get(digest(secret), lambda: self._find(secret))
        if key is None or key.revoked_at is not None:
            raise unauthorized("The API key is unknown or revoked.")
        note(organization=key.scope.organization)
        if RANK[key.role] < RANK[role]:
            raise forbidden(f"This needs a key with the role {role} or above; this one is of the role {key.role}.")
        return Caller(key)


def _secret_of(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise unauthorized("Send the header: Authorization: Bearer sk-syn-…")
    if not secret.startswith(PREFIX) or len(secret) > _LONGEST_SECRET:
        raise unauthorized("The API key is unknown or revoked.")
    return secret
