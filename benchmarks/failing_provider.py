"""An OpenAI-compatible server one of whose models can be taken down: `python -m benchmarks.failing_provider PORT`.

While it is down, calls to the model `first` are answered 500 at once. `POST /down` and `POST /up` say so; `GET /calls`
tells of each call when it came (seconds since the epoch), for which model, and whether it was failed.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

import uvloop

from benchmarks.provider import ANSWER
from benchmarks.slow_provider import Conversation

_MODEL = b'"model":"first"'
_BROKEN = json.dumps({"error": {"message": "The server had an error.", "type": "server_error", "code": None}}).encode()
_GOOD = json.dumps(ANSWER).encode()


@dataclass
class Calls:
    """What came, and whether the model is down."""

    down: bool = False
    seen: list[tuple[float, str, bool]] = field(default_factory=list)


class Provider(Conversation):
    """One connection to it."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def asked(self, head: bytes, body: bytes) -> None:
        """Answer at once."""
        status, answer = self._answer(head.split(b" ", 2)[1], body)
        self._transport.write(
            b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status, len(answer), answer)
        )

    def _answer(self, path: bytes, body: bytes) -> tuple[bytes, bytes]:
        calls = self._calls
        if path in (b"/down", b"/up"):
            calls.down = path == b"/down"
            return b"200 OK", b"{}"
        if path == b"/calls":
            return b"200 OK", json.dumps(calls.seen).encode()
        first = _MODEL in body.replace(b'": "', b'":"')
        calls.seen.append((time.time(), "first" if first else "second", first and calls.down))
        return (b"500 Internal Server Error", _BROKEN) if first and calls.down else (b"200 OK", _GOOD)


async def serve(port: int) -> None:
    """Until the process is ended."""
    calls = Calls()
    server = await asyncio.get_running_loop().create_server(lambda: Provider(calls), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
