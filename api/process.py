"""Serving the API: in a thread of a process that does more, or as a process of its own."""

import asyncio
import logging
import signal
import socket
import threading
from types import FrameType

import uvicorn

from api.app import build_app
from synthralos.core import Core, build_core
from synthralos.settings import Settings

log = logging.getLogger(__name__)

GRACE_SECONDS = 10
"""How long requests may go on after the server was told to stop; those that only wait are answered at once."""

_BACKLOG = 2048


class ApiServer:
    """Serves the API in a thread of its own. The core stays its owner's to close, after `stop`."""

    def __init__(self, core: Core, host: str, port: int) -> None:
        """Binds at once, so that `OSError` tells of an address that cannot be had; port 0 picks a free one."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self._host = host
        config = uvicorn.Config(
            build_app(core),
            http="httptools",
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=_BACKLOG,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:8080`."""
        port = self._socket.getsockname()[1]
        return f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"

    def start(self) -> None:
        """Serve; returns when requests are answered. Raises `RuntimeError` where that did not come about."""
        self._thread.start()
        self._server.ready.wait()
        if not self._server.started:
            raise RuntimeError("the API did not start; see the log")

    def stop(self) -> None:
        """Answer what is under way, take nothing new, and stop."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()

    def wait(self) -> None:
        """Return when it has stopped."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except SystemExit:
            log.error("the API could not start")
        finally:
            self._server.ready.set()


class _Server(uvicorn.Server):
    """Says when it is ready, and lets those go who only wait before it shuts down."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, then wait for the requests under way."""
        app = self.config.app
        app.state.room.waiters.release()  # type: ignore[union-attr]  # the application of `build_app`
        await asyncio.sleep(0)
        await super().shutdown(sockets)


def run_api(settings: Settings) -> None:
    """The API as a process: serves until SIGTERM or SIGINT, then finishes what is under way."""
    stopped = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    core = build_core(settings)
    try:
        server = ApiServer(core, settings.host, settings.port)
        server.start()
        print(f"SynthralOS API on {server.url}", flush=True)  # noqa: T201 - the process's one line for people
        stopped.wait()
        server.stop()
    finally:
        core.close()
