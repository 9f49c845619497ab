"""The access log and the clock of each request: the outermost layer, which sees the hot routes too.

A line says method, route (never the path's ids), status, milliseconds, whose key it was, and the trace. What comes a
thousand times a second (submissions, reads of a job, probes) is sampled; everything else, and whatever was refused or
failed, gets its line.
"""

import logging
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.paths import JOBS_PATH
from synthralos.domain.spans import parse_traceparent
from synthralos.telemetry.context import Facts, begin
from synthralos.telemetry.families import REQUESTS
from synthralos.telemetry.metrics import Metrics

log = logging.getLogger("api.access")

ROUTE = "synthralos.route"
"""Where the shortcut leaves the template of the route that it serves, in the scope."""

JOB_PATH = f"{JOBS_PATH}/{{job_id}}"

FREQUENT = frozenset(
    {
        ("POST", JOBS_PATH),
        ("GET", JOB_PATH),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
        ("GET", "/metrics"),
    }
)
"""Routes that are asked all the time: their lines are sampled."""

UNKNOWN = "unknown"
"""The route of a request that no route takes, and the method of one that HTTP does not know."""

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

Measured = Callable[[str, str, int, float], None]
"""Takes method, route, status and seconds of a request."""


def clock_of(metrics: Metrics) -> Measured:
    """What enters each request into the metrics."""
    clocks = metrics.histograms(REQUESTS)

    def measured(method: str, route: str, status: int, seconds: float) -> None:
        clocks[method, route, str(status)].observe(seconds)

    return measured


class Access:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, measured: Measured, *, lines: bool, sample: float) -> None:
        """`sample` is the share of the frequent, successful requests that get a line; without `lines` none gets one."""
        self._app = app
        self._measured = measured
        self._lines = lines
        self._sample = sample
        self._owed = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = Facts()
        begin(facts)
        began, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._over(scope, status, time.perf_counter() - began, facts)

    def _over(self, scope: Scope, status: int, seconds: float, facts: Facts) -> None:
        method, route = scope["method"] if scope["method"] in _METHODS else UNKNOWN, route_of(scope)
        self._measured(method, route, status, seconds)
        if not self._lines or (0 < status < 400 and (method, route) in FREQUENT and not self._is_sampled()):
            return
        trace = facts.trace_id or _trace_of(scope)
        fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2)}
        log.info("%s %s %d", method, route, status, extra={**fields, **({"trace_id": trace} if trace else {})})

    def _is_sampled(self) -> bool:
        """Whether it is this one's turn: of a sample of 0.01, one of a hundred's."""
        self._owed += self._sample
        if self._owed < 1.0 - 1e-9:  # ten tenths are a little less than one
            return False
        self._owed -= 1.0
        return True


def route_of(scope: Scope) -> str:
    """The template of the request's route."""
    route: str | None = scope.get(ROUTE) or getattr(scope.get("route"), "path", None)
    # Starlette's own routes leave their endpoint alone; ours of that kind have no parameters.
    return route or (scope["path"] if "endpoint" in scope else UNKNOWN)


def _trace_of(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            parent = parse_traceparent(value.decode("latin-1"))
            return None if parent is None else parent[0]
    return None
