"""Requests to addresses that tenants named: sent from a loop of its own, to public addresses alone.

A name is looked up once and the connection goes to what was found and allowed, so that a name which means something
else a moment later gains nothing. Redirects are not followed, and no proxy is asked: it would look the name up itself.
"""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pipelines.providers.transport.client import Client
from pipelines.providers.transport.protocol import HeaderFields, Limits, Request, Result, Timeouts
from pipelines.providers.transport.proxies import Proxies
from pipelines.providers.transport.resolver import AddressInfo, Resolver
from synthralos.domain.addresses import Network, may_be_called

_LIMITS = Limits(answer=64 * 1024, error=64 * 1024, head=16 * 1024)
_CONNECT = 5.0
_LOOKUPS = 32
"""Names that are looked up at once: a resolver that hangs holds up no other."""

NOT_ALLOWED = "its address is private; WEBHOOK_NETWORKS says which may be called"


class GuardedResolver(Resolver):
    """Gives addresses that may be called, and refuses the others."""

    def __init__(self, allowed: Sequence[Network], *, public: bool = True) -> None:
        """`public`: whether public addresses are allowed beside those networks."""
        super().__init__()
        self._allowed = allowed
        self._public = public

    async def addresses(self, host: str, port: int) -> list[AddressInfo]:
        """Where to connect to; raises `PermissionError` where none of the addresses is allowed."""
        found = await super().addresses(host, port)
        kept = [each for each in found if self._allows(str(each[4][0]))]
        if not kept:
            raise PermissionError(NOT_ALLOWED)
        return kept

    def _allows(self, address: str) -> bool:
        if not may_be_called(address, self._allowed):
            return False
        return self._public or not may_be_called(address)


class Poster:
    """Sends from any thread; its loop lives in a thread of its own, from the first request on."""

    def __init__(self, allowed: Sequence[Network], timeout: float) -> None:
        """`allowed`: private networks. `timeout`: seconds for one request as a whole."""
        self._allowed = allowed
        self._timeouts = Timeouts(min(_CONNECT, timeout), timeout, timeout, timeout)
        self._turn = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._clients: dict[str, Client] = {}

    def post(self, url: str, headers: HeaderFields, body: bytes) -> Result:
        """The answer, or why there is none; raises `ValueError` for a URL that cannot be called."""
        loop = self._running()
        sent = asyncio.run_coroutine_threadsafe(self._send(url, headers, body), loop)
        try:
            return sent.result(self._timeouts.total + 5.0)
        except TimeoutError:
            sent.cancel()
            raise

    def close(self) -> None:
        """Close all connections."""
        with self._turn:
            loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(self._close(), loop).result(5.0)
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._turn:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._run, args=(self._loop,), name="webhooks", daemon=True)
                self._thread.start()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.set_default_executor(ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="webhook-names"))
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    async def _send(self, url: str, headers: HeaderFields, body: bytes) -> Result:
        client = self._client(url.partition(":")[0].lower())
        return await client.send(Request(client.endpoint("POST", url, ()), headers, body, self._timeouts))

    async def _close(self) -> None:
        for client in self._clients.values():
            await client.close()

    def _client(self, scheme: str) -> Client:
        """What is not encrypted stays within the private networks."""
        if scheme not in self._clients:
            resolver = GuardedResolver(self._allowed, public=scheme == "https")
            self._clients[scheme] = Client(_LIMITS, Proxies(), keep_alive=0.0, resolver=resolver)
        return self._clients[scheme]
