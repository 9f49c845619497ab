"""The short way to the hot routes: `POST /api/v1/jobs` and `GET /api/v1/jobs/{id}`, past the web framework.

A request that has anything unusual about it takes the long way through FastAPI, whose routes call the same handlers:
what is answered is the same, byte for byte, and only the framework's share of the CPU differs.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial

from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.call import Call
from api.http.access import JOB_PATH, ROUTE
from api.http.edge import Edge
from api.http.paths import JOBS_PATH
from api.http.problems import Problem, refusal
from api.v1.jobs import show_job
from api.v1.queries import LONGEST_WAIT
from api.v1.submit import submit_jobs
from synthralos.store.sql.errors import StoreError

Handler = Callable[[Call], Awaitable[Response]]

_HEX = "[0-9a-f]"
_JOB = re.compile(rf"{JOBS_PATH}/({_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}})")
_WAIT = re.compile(rb"wait=((?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,6})?)")
_HANDLER = "synthralos.handler"


class Shortcut:
    """An ASGI application in front of another one. `room` is found where the application's lifespan puts it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._hot = Edge(self._serve)
        self._observed: bool | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one lifespan."""
        handler = handler_of(scope) if scope["type"] == "http" else None
        if handler is None or self._is_observed():
            await self._app(scope, receive, send)
            return
        scope[_HANDLER] = handler
        scope[ROUTE] = JOBS_PATH if scope["method"] == "POST" else JOB_PATH
        await self._hot(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await scope[_HANDLER](Call(self._app.state.room, scope, receive))
        except (Problem, StoreError) as error:
            response = refusal(error, self._app.state.room.core.outages)
        await response(scope, receive, send)

    def _is_observed(self) -> bool:
        """Whether FastAPI reports its requests to OpenTelemetry here, as the environment may tell it at the start."""
        if self._observed is None:
            telemetry = getattr(self._app, "_native_telemetry", None)  # not in every version of FastAPI
            self._observed = telemetry is not None and telemetry.enabled()
        return self._observed


def handler_of(scope: Scope) -> Handler | None:
    """What serves a request of the hot kind; None for any other one."""
    method, path = scope["method"], scope["path"]
    if method == "POST":
        return submit_jobs if path == JOBS_PATH else None
    job = _JOB.fullmatch(path) if method == "GET" else None
    if job is None:
        return None
    wait = _seconds(scope["query_string"])
    return None if wait is None else partial(show_job, job_id=job[1], wait=wait)


def _seconds(query: bytes) -> float | None:
    """How long to wait, where the query says nothing else."""
    if not query:
        return 0.0
    found = _WAIT.fullmatch(query)
    seconds = None if found is None else float(found[1])
    return seconds if seconds is not None and seconds <= LONGEST_WAIT else None
