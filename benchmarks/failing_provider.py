"""An OpenAI-compatible server one of whose models can be taken down: `python -m benchmarks.failing_provider PORT`.

What becomes of calls to the model `first` is said by `POST /up` (they are answered), `/down` (500 at once), `/limited`
(four of five are answered 429, come back in a second), `/slow` (answered after three seconds), and `/flapping` (down
and up by turns, two seconds each). `GET /calls` tells of each call when it came (seconds since the epoch), for which
model, and whether it was failed; the others are answered, and so are paid for.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum

import uvloop

from benchmarks.provider import ANSWER
from benchmarks.slow_provider import Conversation

_MODEL = b'"model":"first"'
_BROKEN = json.dumps({"error": {"message": "The server had an error.", "type": "server_error", "code": None}}).encode()
_GOOD = json.dumps(ANSWER).encode()


_LIMITED = json.dumps(
    {"error": {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}}
).encode()
_ERRORS = {
    b"500 Internal Server Error": (_BROKEN, b""),
    b"429 Too Many Requests": (_LIMITED, b"Retry-After: 1\r\n"),
}

LATE = 3.0
"""Seconds after which a slow model answers."""

FLAP = 2.0
"""Seconds for which a model that flaps is down, and up."""


class Weather(StrEnum):
    """How the model `first` is."""

    UP = "up"
    DOWN = "down"
    LIMITED = "limited"
    SLOW = "slow"
    FLAPPING = "flapping"


@dataclass
class Calls:
    """What came, and how the model is."""

    weather: Weather = Weather.UP
    since: float = 0.0
    seen: list[tuple[float, str, bool]] = field(default_factory=list)

    def refuses(self, now: float) -> bytes | None:
        """The status of an error that a call to it gets now; None: it is answered."""
        down = self.weather is Weather.DOWN
        if self.weather is Weather.FLAPPING:
            down = (now - self.since) // FLAP % 2 == 0
        if down:
            return b"500 Internal Server Error"
        limited = self.weather is Weather.LIMITED and len(self.seen) % 5 != 0
        return b"429 Too Many Requests" if limited else None


class Provider(Conversation):
    """One connection to it."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def asked(self, head: bytes, body: bytes) -> None:
        """Answer, at once but where the model is slow."""
        path = head.split(b" ", 2)[1].decode()
        if path in {f"/{weather}" for weather in Weather}:
            self._calls.weather, self._calls.since = Weather(path[1:]), time.time()
            self._send(b"{}")
        elif path == "/calls":
            self._send(json.dumps(self._calls.seen).encode())
        else:
            self._called(first=_MODEL in body.replace(b'": "', b'":"'))

    def _called(self, *, first: bool) -> None:
        calls, now = self._calls, time.time()
        refused = calls.refuses(now) if first else None
        calls.seen.append((now, "first" if first else "second", refused is not None))
        if refused is not None:
            said, more = _ERRORS[refused]
            self._send(said, refused, more)
        elif first and calls.weather is Weather.SLOW:
            asyncio.get_running_loop().call_later(LATE, self._send, _GOOD)
        else:
            self._send(_GOOD)

    def _send(self, answer: bytes, status: bytes = b"200 OK", more: bytes = b"") -> None:
        if not self._transport.is_closing():
            head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
            self._transport.write(head % (status, more, len(answer)) + answer)


async def serve(port: int) -> None:
    """Until the process is ended."""
    calls = Calls()
    server = await asyncio.get_running_loop().create_server(lambda: Provider(calls), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
