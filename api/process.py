"""Serving the API: in a thread of a process that does more, or as a process of its own."""

import gc
import logging
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn

from api.app import build_app
from api.http.access import Access, clock_of
from api.http.heads import BoundedHeads
from api.room import Room
from api.shortcut import Shortcut
from pipelines.analyze.pushing import push_metrics
from pipelines.providers.table import check_deployment
from synthralos.bus.protocol import POLL_SECONDS
from synthralos.config.settings import Settings
from synthralos.core import Core, build_core
from synthralos.logs import log_as
from synthralos.open_files import allow_many_open_files
from synthralos.stop_signals import on_stop
from synthralos.telemetry.serving import MetricsPort

log = logging.getLogger(__name__)

GRACE_SECONDS = 10
"""How long requests may go on after the server was told to stop; those that only wait are answered at once."""

_BACKLOG = 2048


class ApiServer:
    """Serves the API in a thread of its own. The core stays its owner's to close, after `stop`."""

    def __init__(
        self, core: Core, host: str, port: int, *, poll_seconds: float = POLL_SECONDS, shortcut: bool = True
    ) -> None:
        """Port 0 picks a free one. `poll_seconds`: how often those who wait look without having been told.

        Without the `shortcut` the hot routes are FastAPI's, too.
        """
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._app = build_app(core, poll_seconds=poll_seconds)
        settings = core.settings
        access = Access(
            Shortcut(self._app) if shortcut else self._app,
            clock_of(core.metrics),
            lines=settings.access_log,
            sample=settings.access_log_sample,
        )
        config = uvicorn.Config(
            access,
            http=BoundedHeads,
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=_BACKLOG,
        )
        self._server = _Server(config, lambda: self.room.release())
        self._thread = threading.Thread(target=self._run, name="api", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:8080`; known once it is started."""
        port = self._port if self._socket is None else self._socket.getsockname()[1]
        return f"http://[{self._host}]:{port}" if ":" in self._host else f"http://{self._host}:{port}"

    @property
    def room(self) -> Room:
        """What its handlers share, once it is started."""
        room: Room = self._app.state.room
        return room

    def start(self) -> None:
        """Serve; returns when requests are answered. Raises `OSError` where the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._socket = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        self._thread.start()
        self._server.ready.wait()
        if not self._server.started:
            raise RuntimeError("the API did not start; see the log")

    def stop(self) -> None:
        """Answer what is under way, take nothing new, and stop."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        if self._socket is not None:
            self._socket.close()

    def wait(self) -> None:
        """Return when it has stopped."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket] if self._socket else [])
        except SystemExit:
            log.error("the API could not start")
        finally:
            self._server.ready.set()


class _Server(uvicorn.Server):
    """Says when it is ready, and lets those go who only wait before it shuts down."""

    def __init__(self, config: uvicorn.Config, on_shutdown: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_shutdown = on_shutdown
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, then wait for the requests under way."""
        self._on_shutdown()
        await super().shutdown(sockets)


def _spare_the_collector() -> None:
    """Parsed bodies are many objects and no cycles: with Python's thresholds, looking for some doubles their cost."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run_api(settings: Settings) -> None:
    """The API as a process: serves until a stop signal, then finishes what is under way."""
    stopped = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopped.set()

    on_stop(on_signal)
    log_as("api", settings)
    allow_many_open_files()
    core = build_core(settings, check_deployment)
    core.metrics.describe("api")
    try:
        port = MetricsPort(core.metrics, settings.metrics_host, settings.metrics_ports())
        pushing = push_metrics(core)
        server = ApiServer(core, settings.host, settings.port)
        server.start()
        _spare_the_collector()
        print(f"SynthralOS API on {server.url}", flush=True)  # noqa: T201 - the process's one line for people
        stopped.wait()
        server.stop()
        pushing.close()
        port.close()
    finally:
        core.close()
