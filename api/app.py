"""The application: all routes, and the edge at which every error becomes a problem document."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, cast

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, compile_path

from api import health, metrics
from api.document import describe
from api.http.docs import page
from api.http.edge import Edge
from api.http.paths import JOBS_PATH
from api.http.problems import Problem, http_error, invalid, refusal
from api.room import Room
from api.v1 import (
    aliases,
    audit,
    breakers,
    budgets,
    costs,
    credentials,
    dead_letter_files,
    dead_letters,
    deployments,
    events,
    evidence,
    feed,
    feedback,
    flags,
    jobs,
    keys,
    limits,
    observability,
    operations,
    policies,
    policy_checks,
    quotas,
    repairs,
    routing,
    run_caps,
    run_forks,
    runs,
    schedule_acts,
    schedules,
    simulate,
    thoughts,
    trace_tail,
    traces,
    waits,
    webhook_acts,
    webhooks,
)
from api.v1.submit import submit
from pipelines.intake.errors import FieldError
from pipelines.intake.validation import field_errors
from synthralos.bus.protocol import POLL_SECONDS
from synthralos.core import Core
from synthralos.store.admin.processes import release
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.outages import Outages


def build_app(core: Core, *, poll_seconds: float = POLL_SECONDS) -> FastAPI:
    """The application over `core`, which stays the caller's to close. It lives as long as its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        room = app.state.room = Room(core, poll_seconds)
        await room.open()
        try:
            yield
        finally:
            await room.close()

    version = release()
    app = FastAPI(
        title="SynthralOS",
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.router.routes.append(Route(JOBS_PATH, submit, methods=["POST"], include_in_schema=False))
    rooms = (
        jobs, events, feed, evidence, operations, keys, flags, limits, deployments, aliases, breakers, quotas, budgets,
        costs, credentials, dead_letter_files, dead_letters, runs, run_caps, run_forks, thoughts, waits, repairs,
        policies, policy_checks, simulate, schedules, schedule_acts, audit, trace_tail, traces, observability, feedback,
        routing, webhooks, webhook_acts, health, metrics,
    )  # fmt: skip
    for room in rooms:
        app.include_router(room.router)
    _add_documents(app, version)
    _add_problems(app, core.outages, _allowed_methods(route for room in rooms for route in room.router.routes))
    app.add_middleware(Edge)
    return app


def _add_documents(app: FastAPI, version: str) -> None:
    """Made when they are first asked for, in a thread: that takes as long as all the rest of a start."""
    document = cache(lambda: describe(app, version))
    written, shown = cache(lambda: orjson.dumps(document())), cache(lambda: page(document()))
    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to bring a document of one's own

    async def openapi(request: Request) -> Response:
        return Response(await asyncio.to_thread(written), media_type="application/json")

    async def docs(request: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(shown))

    async def root(request: Request) -> Response:
        return RedirectResponse("/docs", 307)

    for path, endpoint in (("/openapi.json", openapi), ("/docs", docs), ("/", root)):
        app.router.routes.append(Route(path, endpoint, include_in_schema=False))


def _add_problems(app: FastAPI, outages: Outages, allowed: Callable[[str], str]) -> None:
    async def on_refusal(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem | StoreError)
        return refusal(error, outages)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(list(_parameters(error))).response()

    async def on_refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = {"Allow": allowed(request.url.path)} if error.status_code == 405 else None
        return http_error(error.status_code, headers).response()

    app.add_exception_handler(Problem, on_refusal)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_refused)
    app.add_exception_handler(StoreError, on_refusal)


def _parameters(error: RequestValidationError) -> list[FieldError]:
    """FastAPI's errors about parameters: `loc` begins with where they are."""
    found: list[FieldError] = []
    for detail in error.errors():
        place, *loc = detail["loc"]
        members: Any = {loc[0]: [None] * 100} if loc else None
        found += field_errors([cast(ErrorDetails, {**detail, "loc": tuple(loc)})], members, str(place))
    return found


def _allowed_methods(routes: Iterable[BaseRoute]) -> Callable[[str], str]:
    """What gives all methods of a path, which may be spread over several routes."""
    methods: dict[str, set[str]] = {JOBS_PATH: {"POST"}}
    for route in routes:
        assert isinstance(route, APIRoute)
        methods.setdefault(route.path, set()).update(route.methods or ())
    paths = [(compile_path(path)[0], found) for path, found in methods.items()]

    def allowed(path: str) -> str:
        found = [methods for pattern, methods in paths if pattern.match(path)]
        return ", ".join(sorted(set().union(*found) or {"GET", "HEAD"}))

    return allowed
