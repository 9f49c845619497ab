"""A TCP proxy that breaks on command: the network between us and a server, in a test's hands.

with TcpProxy("127.0.0.1", 5672) as proxy:
    connect_to(proxy.port)
    proxy.cut()     # reset all connections; new ones are still let through
    proxy.refuse()  # reset all connections and refuse new ones
    proxy.stall()   # keep all connections, pass nothing on (a host that vanished)
    proxy.restore()  # let everything through again
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self

_CHUNK = 65_536


class TcpProxy:
    """Forwards 127.0.0.1:`port` (chosen by the system, the same for its whole life) to `host`:`target_port`."""

    def __init__(self, host: str, target_port: int) -> None:
        self._target = (host, target_port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        # Bound and never listening: while the proxy refuses, nobody else can get its port.
        self._placeholder = _bound_socket(0)
        self.port: int = self._placeholder.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._placeholder.close()

    def cut(self) -> None:
        """Reset all connections. New ones are let through."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Reset all connections, and refuse new ones until `restore`."""
        self._do(self._refuse())

    def stall(self) -> None:
        """Keep and accept connections, but pass nothing on until `restore`."""
        self._do(self._stall())

    def restore(self) -> None:
        """Let everything through again."""
        self._do(self._restore())

    def _do(self, command: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(command, self._loop).result()

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _stall(self) -> None:
        self._flowing.clear()

    async def _restore(self) -> None:
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, sock=_bound_socket(self.port))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            with contextlib.suppress(OSError):
                server_reader, server_writer = await asyncio.open_connection(*self._target)
                self._writers.add(server_writer)
                await asyncio.gather(self._pump(reader, server_writer), self._pump(server_reader, writer))
                self._writers.discard(server_writer)
        finally:
            writer.close()
            self._writers.discard(writer)
            self._connections.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound
