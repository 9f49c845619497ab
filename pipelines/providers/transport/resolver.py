"""Addresses of hosts, remembered for a moment: a thousand calls that begin at once ask once."""

import asyncio
import socket
from typing import Any, TypeAlias

REMEMBERED = 10.0
"""Seconds that an address is used without asking again."""

AddressInfo: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As `socket.getaddrinfo` gives it."""


class Resolver:
    """Lives on one event loop."""

    def __init__(self) -> None:
        self._lookups: dict[tuple[str, int], tuple[float, asyncio.Task[list[AddressInfo]]]] = {}

    async def addresses(self, host: str, port: int) -> list[AddressInfo]:
        """Where to connect to; raises `OSError`. Giving up does not end the lookup for the others who wait."""
        now = asyncio.get_running_loop().time()
        until, lookup = self._lookups.get((host, port), (now, None))
        if lookup is None or until <= now or (lookup.done() and (lookup.cancelled() or lookup.exception())):
            lookup = asyncio.create_task(_look_up(host, port))
            # Whoever asked may have given up, and nobody else wants to know of the error.
            lookup.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            self._lookups[host, port] = now + REMEMBERED, lookup
        return await asyncio.shield(lookup)

    def close(self) -> None:
        """Forget everything."""
        for _, lookup in self._lookups.values():
            lookup.cancel()
        self._lookups.clear()


async def _look_up(host: str, port: int) -> list[AddressInfo]:
    try:
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)]
    except socket.gaierror:  # a name
        return [*await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)]
