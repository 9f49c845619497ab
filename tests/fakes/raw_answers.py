"""A server of bare bytes in a thread: each model's answer is what a test writes on its connection."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket], None]
"""Writes an answer. When it returns, the connection is closed; what the client closes before ends it, too."""


class RawAnswers:
    """The server. `talks` by the model that is asked for; `asked` are the paths and models of all requests."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.talks: dict[str, Talk] = {}
        self.asked: list[tuple[str, str]] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def listen(self) -> None:
        """Serve until the listener is closed."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Close all connections, and wait for everybody."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            wrapped = connection if self._tls is None else self._tls.wrap_socket(connection, server_side=True)
            self._open.append(wrapped)
            with wrapped:
                received = b""
                while (found := _whole(received)) is None:
                    piece = wrapped.recv(65_536)
                    if not piece:
                        return
                    received += piece
                path, model = found
                self.asked.append((path, model))
                self.talks[model](wrapped)


def _whole(received: bytes) -> tuple[str, str] | None:
    """The path and the model of a request that is whole."""
    head, found, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    if not found or len(body) < (int(length[1]) if length else 0):
        return None
    return head.split(b" ")[1].decode(), json.loads(body)["model"] if body else ""


@contextmanager
def raw_answers(tls: ssl.SSLContext | None = None) -> Iterator[RawAnswers]:
    """The server, running."""
    server = RawAnswers(tls)
    thread = threading.Thread(target=server.listen)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


def says(data: bytes) -> Talk:
    """These bytes, and then the end of the connection."""
    return lambda connection: connection.sendall(data)


def answers(body: bytes, kind: str = "application/json", status: str = "200 OK", length: int | None = None) -> Talk:
    """A whole answer; `length` is what it says of its length, where that is not so."""
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n"
    return says(head.encode() + body)
