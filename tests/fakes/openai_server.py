"""A real HTTP server that speaks as providers do, bills every call, and misbehaves on command.

It speaks OpenAI's chat completions, Anthropic's messages and Google's generateContent (`dialects`), each on its own
path.

Run as `python -m tests.fakes.openai_server --port 0 --bill FILE`; it prints one JSON line, `{"url": …}`, once it
listens. Its base URL for clients is `url` + the dialect's `base`.

Every call is one JSON line in the bill, written and flushed before anything is answered: `job_id` and `attempt_no`
(from `Idempotency-Key`), `model`, `input_tokens`, `output_tokens`, `billed`, and `replied`: whether the server goes on
to send a whole completion.

- `POST /control`  `{"behavior": {…}, "model": name or null}` sets how calls to a model (null: to any other) are
                   treated (`Behavior`); `{"reset": true}` forgets all of it.
- `POST /release`  lets every call that hangs go on.
- `GET /bill`      `{"calls": [lines], "peak": the most calls at once since the last reset}`.
- `GET /wait?calls=N`  answers when N calls have arrived in all: an event for tests.
"""

import argparse
import asyncio
import json
import os
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.fakes import streams
from tests.fakes.behaviors import CHUNKS, FIELDS, Behavior, error
from tests.fakes.dialects import DIALECTS, Dialect

AFTER_FIRST_WORD = 2
"""Chunks: the role, and a word."""


class FakeOpenAI:
    """The server's state and its routes."""

    def __init__(self, bill: Path | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self._bill = None if bill is None else os.open(bill, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._behaviors: dict[str | None, Behavior] = {}
        self._released = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._at_once = self._peak = 0

    def application(self) -> web.Application:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.add_routes(
            [
                *(web.post(dialect.path, partial(self._complete, dialect)) for dialect in DIALECTS),
                web.post("/control", self._control),
                web.post("/release", self._release),
                web.get("/bill", self._show_bill),
                web.get("/wait", self._wait),
            ]
        )
        return application

    def close(self) -> None:
        self._released.set()
        if self._bill is not None:
            os.close(self._bill)

    async def _complete(self, dialect: Dialect, request: web.Request) -> web.StreamResponse:
        try:
            asked = await request.json()
        except ValueError:
            asked = None
        problem = dialect.problem(asked) if isinstance(asked, dict) else "the body is not a JSON object"
        if problem is not None:
            return web.json_response(dialect.error(problem, 400), status=400)
        model = request.match_info.get("model") or asked["model"]
        behavior = self._next_behavior(model)
        released = self._released
        document = dialect.document(asked, model, behavior, len(self.calls) + 1)
        self._book(request, model, dialect.billed(document, asked) if behavior.bills else (0, 0), behavior)
        self._at_once += 1
        self._peak = max(self._peak, self._at_once)
        try:
            if behavior.delay:
                await asyncio.sleep(behavior.delay)
            if asked.get("stream") and behavior.status == 200:
                return await streamed(request, behavior, document, released)
            if behavior.hang:
                await released.wait()
        finally:
            self._at_once -= 1
        return await _answer(dialect, request, behavior, document)

    def _next_behavior(self, model: str) -> Behavior:
        key = model if model in self._behaviors else None
        behavior = self._behaviors.get(key, Behavior())
        if behavior.times is not None:
            if behavior.times <= 1:
                del self._behaviors[key]
            else:
                self._behaviors[key] = replace(behavior, times=behavior.times - 1)
        return behavior

    def _book(self, request: web.Request, model: str, used: tuple[int, int], behavior: Behavior) -> None:
        job_id, _, attempt_no = request.headers.get("Idempotency-Key", "").rpartition("/")
        line = {
            "job_id": job_id or None,
            "attempt_no": int(attempt_no) if attempt_no.isdigit() else None,
            "model": model,
            "input_tokens": used[0],
            "output_tokens": used[1],
            "billed": behavior.bills,
            "replied": behavior.replies,
        }
        self.calls.append(line)
        if self._bill is not None:
            os.write(self._bill, json.dumps(line).encode() + b"\n")
        arrived = [pair for pair in self._waiting if pair[0] <= len(self.calls)]
        self._waiting = [pair for pair in self._waiting if pair[0] > len(self.calls)]
        for _, future in arrived:
            if not future.done():
                future.set_result(None)

    async def _control(self, request: web.Request) -> web.Response:
        told = await request.json()
        if told.get("reset"):
            self._behaviors.clear()
            self._peak = self._at_once
            return web.json_response({})
        unknown = set(told.get("behavior", {})) - FIELDS
        if unknown:
            return web.json_response(error(f"unknown: {sorted(unknown)}", "invalid_request_error"), status=400)
        self._behaviors[told.get("model")] = Behavior(**told["behavior"])
        return web.json_response({})

    async def _release(self, _: web.Request) -> web.Response:
        self._released.set()
        self._released = asyncio.Event()
        return web.json_response({})

    async def _show_bill(self, _: web.Request) -> web.Response:
        return web.json_response({"calls": self.calls, "peak": self._peak})

    async def _wait(self, request: web.Request) -> web.Response:
        wanted = int(request.query["calls"])
        if len(self.calls) < wanted:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((wanted, future))
            await future
        return web.json_response({"calls": len(self.calls)})


async def _answer(
    dialect: Dialect, request: web.Request, behavior: Behavior, document: dict[str, Any]
) -> web.StreamResponse:
    if behavior.close == "before_reply":
        _cut(request)
        return web.Response()
    payload = _payload(dialect, behavior, document)
    headers = {
        "Content-Type": "application/json",
        "x-request-id": f"req_{document.get('id') or document['responseId']}",
        **behavior.headers,
    }
    if behavior.close is None and not behavior.trickle:
        return web.Response(status=behavior.status, body=payload, headers=headers)
    response = web.StreamResponse(status=behavior.status, headers={**headers, "Content-Length": str(len(payload))})
    await response.prepare(request)
    if behavior.close == "mid_reply":
        await response.write(payload[: len(payload) // 2])
        _cut(request)
        return response
    step = len(payload) // CHUNKS + 1
    for start in range(0, len(payload), step):
        await response.write(payload[start : start + step])
        await asyncio.sleep(behavior.trickle)
    return response


async def streamed(
    request: web.Request, behavior: Behavior, document: dict[str, Any], released: asyncio.Event
) -> web.StreamResponse:
    """A chat completion word by word. What hangs, or is cut, does so after its first word."""
    told = {"Content-Type": "text/event-stream", "x-request-id": f"req_{document['id']}"}
    response = web.StreamResponse(headers={**told, **behavior.headers})
    response.enable_chunked_encoding()
    await response.prepare(request)
    pieces = list(streams.of_completion(document))
    for number, piece in enumerate(pieces):
        if number == AFTER_FIRST_WORD and behavior.close is not None:
            _cut(request)
            return response
        if number == AFTER_FIRST_WORD and behavior.hang:
            await released.wait()
        await response.write(streams.sse([piece]))
        await asyncio.sleep(behavior.trickle)
    return response


def _payload(dialect: Dialect, behavior: Behavior, document: dict[str, Any]) -> bytes:
    if behavior.raw is not None:
        return behavior.raw.encode()
    if behavior.body is not None:
        return json.dumps(behavior.body).encode()
    if behavior.status != 200:
        return json.dumps(dialect.error(f"told to answer {behavior.status}", behavior.status)).encode()
    return json.dumps(document).encode()


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


@asynccontextmanager
async def running(bill: Path | None = None, port: int = 0) -> AsyncIterator[str]:
    """The server on this loop; gives its URL."""
    fake = FakeOpenAI(bill)
    runner = web.AppRunner(fake.application(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, backlog=8192)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        fake.close()
        await runner.cleanup()


async def _serve(port: int, bill: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(bill, port) as url:
        print(json.dumps({"url": url}), flush=True)  # noqa: T201 - how whoever started it learns the address
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bill", type=Path, default=None)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve(arguments.port, arguments.bill))


if __name__ == "__main__":
    main()
