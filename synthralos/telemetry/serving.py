"""`/metrics` on a port of its own, for processes that serve nothing else, and for scrapers without a key."""

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from synthralos.telemetry.metrics import Metrics


class PortTaken(OSError):
    """A port for metrics cannot be listened on; the message says which one and why."""


class MetricsPort:
    """Serves the metrics of one process, in threads of its own."""

    def __init__(self, metrics: Metrics, host: str, ports: Sequence[int]) -> None:
        """Listen on the first of `ports` that is free (on none, where there are none).

        Processes that are started together share a range, each takes one. Raises `PortTaken` where all are taken.
        """
        self._server: WSGIServer | None = None
        self.port: int | None = None
        refused = OSError()
        for port in ports:
            try:
                self._server, _ = start_http_server(port, host, metrics.registry)
            except OSError as error:
                refused = error
                continue
            self.port = self._server.server_port
            return
        if ports:
            raise _refusal(ports, host, refused)

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def check_ports(host: str, ports: Sequence[int]) -> None:
    """Raises `PortTaken` where one of the ports cannot be listened on."""
    with ExitStack() as stack:
        for port in ports:
            try:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                stack.enter_context(socket.create_server((host, port), family=family))
            except OSError as error:
                raise _refusal([port], host, error) from None


def _refusal(ports: Sequence[int], host: str, error: OSError) -> PortTaken:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return PortTaken(error.errno, f"METRICS_PORT: cannot listen on {_shown(ports)} of {host}: {reason}")


def _shown(ports: Sequence[int]) -> str:
    return str(ports[0]) if len(ports) == 1 else f"every port from {ports[0]} to {ports[-1]}"
