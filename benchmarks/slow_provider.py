"""An OpenAI-compatible server that answers late: `python -m benchmarks.slow_provider PORT SECONDS`.

A bare protocol, so that thousands of calls that wait cost it next to nothing.
"""

import asyncio
import json
import sys
from typing import cast

import uvloop

from benchmarks.provider import ANSWER

_BODY = json.dumps(ANSWER).encode()
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Conversation(asyncio.Protocol):
    """One connection; a client sends its next request when it has its answer. `asked` says what becomes of one."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connects."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are no subclasses of it

    def data_received(self, data: bytes) -> None:
        """A piece of a request."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if found and len(body) >= _content_length(head):
            self._received = b""
            self.asked(head, body)

    def asked(self, head: bytes, body: bytes) -> None:
        """A request is whole."""
        raise NotImplementedError


class Late(Conversation):
    """The clock of an answer runs from the last piece of its request."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def asked(self, head: bytes, body: bytes) -> None:
        """Answer when it is time."""
        asyncio.get_running_loop().call_later(self._seconds, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_ANSWER)


def _content_length(head: bytes) -> int:
    """The bytes of body that a request's head announces."""
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


async def serve(port: int, seconds: float) -> None:
    """Until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Late(seconds), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
