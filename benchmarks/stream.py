"""Streams: how long after the provider has sent it the first delta is at the client, and what all of it costs."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import uvloop

from benchmarks.client import Connection
from benchmarks.latency import Pool
from benchmarks.places import BrokerPlace, postgresql_database, rabbitmq_vhost, redis_prefix
from benchmarks.provider import catalog_file
from benchmarks.report import BenchmarkError, cpu_table, figure, percentile, say
from benchmarks.slow_provider import Conversation
from benchmarks.system import Shape, System, check_books, running
from benchmarks.workload import job
from tests.fakes.ports import free_port

RATE = 50
SECONDS, SECONDS_SMOKE = 20, 2
WARM_UP_SECONDS = 2

FIRST = 0.3
"""Seconds from the call to its first token: time enough for whoever wants to listen to be there."""

TOKENS, TOKEN_EVERY = 40, 0.02

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_MARK = re.compile(rb"stream-(\d+)-")


def _event(delta: dict[str, str] | None, finish: str | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench", "choices": choices}
    data = b"data: " + json.dumps({**chunk, **more}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


_TOKEN = _event({"content": "token "})
_USAGE = {"prompt_tokens": 187, "completion_tokens": TOKENS, "total_tokens": 187 + TOKENS}
_END = _event({}, "stop") + _event(None, usage=_USAGE) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass
class Times:
    """When the provider sent a stream's first token, and when its client had it."""

    sent: dict[int, float] = field(default_factory=dict)
    had: dict[int, float] = field(default_factory=dict)


class Streamer(Conversation):
    """One connection of the provider's; what is asked names its number."""

    def __init__(self, times: Times) -> None:
        super().__init__()
        self._times = times

    def asked(self, head: bytes, body: bytes) -> None:
        """Begin the stream when it is time."""
        mark = _MARK.search(body)
        assert mark is not None, "the prompt has no number"
        asyncio.get_running_loop().call_later(FIRST, self._first, int(mark[1]))

    def _first(self, number: int) -> None:
        self._times.sent[number] = perf_counter()
        self._transport.write(_HEAD + _TOKEN)
        asyncio.get_running_loop().call_later(TOKEN_EVERY, self._next, 1)

    def _next(self, told: int) -> None:
        if self._transport.is_closing():
            return
        if told == TOKENS:
            self._transport.write(_END)
            return
        self._transport.write(_TOKEN)
        asyncio.get_running_loop().call_later(TOKEN_EVERY, self._next, told + 1)


def main(smoke: bool) -> None:
    """The chunks in PostgreSQL, then in Redis."""
    seconds = SECONDS_SMOKE if smoke else SECONDS
    with rabbitmq_vhost() as broker, redis_prefix() as redis:
        for name, settings in (("postgresql", {}), ("redis", {"REDIS_URL": redis.url})):
            added = _on(name, broker, seconds, settings)
            figure(f"{name}_first_token_added_p50_ms", percentile(added, 50), "ms")
            figure(f"{name}_first_token_added_p95_ms", percentile(added, 95), "ms")
            if name == "postgresql":
                figure("first_token_added_p95_ms", percentile(added, 95), "ms")


def _on(name: str, broker: BrokerPlace, seconds: int, settings: dict[str, str]) -> list[float]:
    """The added milliseconds of all streams."""
    port = free_port()
    own: dict[str, Any] = settings
    with (
        catalog_file(f"http://127.0.0.1:{port}/v1") as catalog,
        postgresql_database() as database_url,
        running(database_url, broker, catalog, Shape(), **own) as system,
    ):
        uvloop.run(_open_loop(system, port, WARM_UP_SECONDS * RATE))
        meter = system.meter()
        times = uvloop.run(_open_loop(system, port, seconds * RATE))
        used = meter.read()
        check_books(system)
    added = [1000 * (times.had[number] - sent) for number, sent in times.sent.items()]
    middle, most, worst = (percentile(added, percent) for percent in (50, 95, 99))
    say(f"{name}: {len(added)} streams at {RATE}/s, {TOKENS} tokens each")
    say(f"  first token at the client after p50 {middle:.1f}, p95 {most:.1f}, p99 {worst:.1f} ms")
    cpu_table(f"streams over {name}", used, seconds, len(added), "stream")
    return added


async def _open_loop(system: System, port: int, count: int) -> Times:
    """A stream each 1/RATE seconds."""
    numbers = range(system.sent, system.sent + count)
    system.sent += count
    times = Times()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_provider(times, port))
        pool = Pool(system.url, system.key, stack)
        began = perf_counter() + 0.1
        async with asyncio.TaskGroup() as group:
            for place, number in enumerate(numbers):
                await asyncio.sleep(max(0.0, began + place / RATE - perf_counter()))
                group.create_task(_one(pool, number, times))
    return times


@contextlib.asynccontextmanager
async def _provider(times: Times, port: int) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Streamer(times), "127.0.0.1", port, backlog=4096)
    try:
        yield
    finally:
        server.close()


async def _one(pool: Pool, number: int, times: Times) -> None:
    asked = {**job(number), "stream": True, "lane": "interactive"}
    asked["prompt"] = f"stream-{number}- {asked['prompt']}"
    async with pool.connection() as connection:
        answer = await connection.accepted(connection.encode("POST", "/api/v1/jobs", json.dumps(asked).encode()))
        await _follow(connection, answer["url"], number, times)


async def _follow(connection: Connection, url: str, number: int, times: Times) -> None:
    text, ended = 0, False
    async for event in connection.events(f"{url}/events"):
        if b"event: delta\n" in event:
            times.had.setdefault(number, perf_counter())
            text += len(json.loads(event.partition(b"data: ")[2])["text"])
        elif b"event: done\n" in event:
            if text != TOKENS * len("token "):
                raise BenchmarkError(f"a stream told {text} characters: {event[:300].decode(errors='replace')}")
            ended = True
    if not ended:
        raise BenchmarkError("a stream ended before its job did")
