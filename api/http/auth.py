"""Who is calling: API keys, looked up at most once every two seconds, and which acts their roles allow."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from api.http.problems import forbidden, too_many, unauthorized
from synthralos.domain.permissions import PERMISSIONS, Permission, Role, roles_with
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.admin.keys import PREFIX, ApiKey, digest
from synthralos.telemetry.context import note

CACHE_SECONDS = 2.0
"""How long a revoked key may go on working, at most."""

_MOST_CACHED = 10_000
_LONGEST_SECRET = 200

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. Every read and every operation goes through `scope`.

    `program` is what calls on somebody's behalf, where it says that it does.
    """

    key: ApiKey
    program: str | None = None

    @property
    def scope(self) -> Scope:
        """What the caller may see and move."""
        return self.key.scope

    @property
    def actor(self) -> str:
        """The caller's name on record: the beginning of the key, as `keys list` shows it; before it the program."""
        by = f"key:{self.key.prefix}"
        return by if self.program is None else f"{self.program}/{by}"

    @property
    def restricted(self) -> bool:
        """Whether the caller only looks, and sees of jobs what `pipelines/analyze/restricted.py` leaves."""
        return self.key.role is Role.VIEWER


PROGRAMS = {"synthralos-stackstorm-pack": "stackstorm"}
"""Programs that act for people and other programs, by their `User-Agent`: what they do is on record as theirs."""


def calling(caller: Caller, user_agent: str | None) -> Caller:
    """The caller with the program that calls, where it is one of those."""
    program = PROGRAMS.get(user_agent or "")
    return caller if program is None else Caller(caller.key, program)


def require_everything(caller: Caller, act: str) -> None:
    """Raise 403 for a key that is bound to a tenant: what `act` names concerns the whole installation."""
    if caller.scope != EVERYTHING:
        raise forbidden(f"Only a key of the whole installation may {act}.")


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

    def __init__(
        self,
        find: Callable[[str], Awaitable[ApiKey | None]],
        find_again: Callable[[str], Awaitable[ApiKey | None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`find` looks up a key by its secret, `find_again` by its id."""
        self._find = find
        self._find_again = find_again
        self._now = now
        self._keys: BriefCache[ApiKey] = BriefCache()
        self._alive: BriefCache[ApiKey | None] = BriefCache()
        self._unknown = UnknownKeys()
        self._used: set[str] = set()

    async def admit(self, authorization: str | None, permission: Permission) -> Caller:
        """The caller by that header, who may do that; raises 401, 403, or 429 where too many guess keys."""
        secret = _secret_of(authorization or "")
        # By digest, so that the caches keep no secrets.
        name = digest(secret)
        known = self._keys.known(name)
        key = known[0] if known is not None else await self._look_up(name, secret)
        if key is None or not key.works(self._now()):
            raise unauthorized("The API key is unknown, revoked or expired.")
        note(organization=key.scope.organization)
        if permission not in PERMISSIONS[key.role]:
            able = ", ".join(roles_with(permission))
            raise forbidden(f"This needs {permission}, which the role {key.role} has not; these have it: {able}.")
        self._used.add(key.id)
        return Caller(key)

    async def still_works(self, caller: Caller) -> bool:
        """Whether the caller's key was neither revoked nor has expired since; raises what the store raises."""
        found = await self._alive.get(caller.key.id, lambda: self._find_again(caller.key.id))
        return found is not None and found.works(self._now())

    def used(self) -> set[str]:
        """The ids of the keys that were used since the last call."""
        used, self._used = self._used, set()
        return used

    async def _look_up(self, name: str, secret: str) -> ApiKey | None:
        if self._unknown.remembers(name):
            return None
        try:
            return await self._keys.get(name, lambda: self._ask(name, secret))
        except _NoKeyError:
            return None

    async def _ask(self, name: str, secret: str) -> ApiKey:
        async with self._unknown.turn():
            key = await self._find(secret)
        if key is None:
            self._unknown.add(name)
            raise _NoKeyError
        return key


class _NoKeyError(Exception):
    """Nobody has this key."""


class UnknownKeys:
    """Those who guess keys: what they sent of late is not looked up again, and they take few threads at once."""

    def __init__(self, most: int = 10_000, at_once: int = 2, waiting: int = 200) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()
        self._most = most
        self._waiting = 0
        self._most_waiting = waiting
        self._turns = asyncio.Semaphore(at_once)

    def remembers(self, name: str) -> bool:
        """Whether it was found to be nobody's within the last seconds."""
        return self._until.get(name, 0.0) > time.monotonic()

    def add(self, name: str) -> None:
        """It is nobody's. The oldest make room; good keys are kept elsewhere."""
        self._until[name] = time.monotonic() + CACHE_SECONDS
        self._until.move_to_end(name)
        if len(self._until) > self._most:
            self._until.popitem(last=False)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One look-up's turn; raises 429 where too many wait for theirs."""
        if self._waiting >= self._most_waiting:
            raise too_many("Too many keys that were not seen before wait to be looked up: try again in a second.")
        self._waiting += 1
        try:
            async with self._turns:
                yield
        finally:
            self._waiting -= 1


def _secret_of(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise unauthorized("Send the header: Authorization: Bearer sk-syn-…")
    if not secret.startswith(PREFIX) or len(secret) > _LONGEST_SECRET:
        raise unauthorized("The API key is unknown, revoked or expired.")
    return secret
