"""A TCP proxy that breaks on command: the network between us and a server, in a test's hands.

with TcpProxy("127.0.0.1", 5672) as proxy:
    connect_to(proxy.port)
    proxy.cut()      # reset all connections; new ones are let through
    proxy.refuse()   # reset all connections and refuse new ones
    proxy.stall()    # keep all connections and pass nothing on (a server that fell silent)
    proxy.restore()  # let everything through again
"""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards 127.0.0.1:`port` (chosen by the system, the same for its whole life) to `host`:`target_port`."""

    def __init__(self, host: str, target_port: int) -> None:
        self._target = (host, target_port)
        self._changed = threading.Condition()
        self._flows = True
        self._alive: dict[socket.socket, threading.Thread] = {}
        self._listener: tuple[socket.socket, threading.Thread] | None = None
        # Bound and never listening: while the proxy refuses, nobody else can get its port.
        self._placeholder = _bound_socket(0)
        self.port: int = self._placeholder.getsockname()[1]

    def __enter__(self) -> Self:
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._placeholder.close()

    def cut(self) -> None:
        """Reset all connections. New ones are let through."""
        with self._changed:
            victims = dict(self._alive)
            self._alive.clear()
            self._changed.notify_all()
        for victim in victims:
            with contextlib.suppress(OSError):
                victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                victim.shutdown(socket.SHUT_RDWR)
        for thread in victims.values():
            thread.join()

    def refuse(self) -> None:
        """Reset all connections, and refuse new ones until `restore`."""
        if self._listener is not None:
            listener, thread = self._listener
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            self._listener = None
        self.cut()

    def stall(self) -> None:
        """Keep and accept connections, but pass nothing on until `restore`."""
        self._set_flow(False)

    def restore(self) -> None:
        """Let everything through again."""
        self._set_flow(True)
        if self._listener is None:
            listener = _bound_socket(self.port)
            listener.listen()
            thread = threading.Thread(target=self._accept, args=(listener,), name="tcp-proxy", daemon=True)
            self._listener = listener, thread
            thread.start()

    def _set_flow(self, flows: bool) -> None:
        with self._changed:
            self._flows = flows
            self._changed.notify_all()

    def _accept(self, listener: socket.socket) -> None:
        with listener, contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._start(client, self._connect, client)

    def _connect(self, client: socket.socket) -> None:
        try:
            if not self._may_pass(client):
                return
            with socket.create_connection(self._target) as server:
                backwards = self._start(server, self._pump, server, client)
                self._pump(client, server)
                backwards.join()
                self._forget(server)
        except OSError:
            pass  # the client sees a closed connection
        finally:
            self._forget(client)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (data := source.recv(_CHUNK)) and self._may_pass(source):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def _may_pass(self, source: socket.socket) -> bool:
        """Wait while the proxy stalls; False where the connection was cut meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._flows or source not in self._alive)
            return source in self._alive

    def _start(self, source: socket.socket, run: Callable[..., None], *args: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=run, args=args, name="tcp-proxy", daemon=True)
        with self._changed:
            self._alive[source] = thread
            thread.start()
        return thread

    def _forget(self, ended: socket.socket) -> None:
        with self._changed:
            self._alive.pop(ended, None)
        ended.close()


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
