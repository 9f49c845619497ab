"""A request as the hot handlers take it: the same object whichever way it came into the process."""

from starlette.requests import Request
from starlette.types import Receive, Scope

from api.http.auth import Caller
from api.room import Room, room_of
from synthralos.domain.permissions import Permission


class Call:
    """The room, the headers by name, and the body as it comes."""

    __slots__ = ("_headers", "receive", "room")

    def __init__(self, room: Room, scope: Scope, receive: Receive) -> None:
        self.room = room
        self.receive = receive
        self._headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # of several alike, the first one counts

    @classmethod
    def of(cls, request: Request) -> "Call":
        """The call in a request of the framework, whose body nobody has read."""
        return cls(room_of(request), request.scope, request.receive)

    def header(self, name: bytes) -> str | None:
        """A header's value; `name` is in lower case."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def admit(self, permission: Permission) -> Caller:
        """The caller, who may do that; raises 401, 403 or 429."""
        return await self.room.auth.admit(self.header(b"authorization"), permission)
