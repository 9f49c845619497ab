"""A destination for the benchmarks of exports: a collector, Langfuse and RudderStack in one; it remembers every id.

`GET /counts` says what has arrived; what the exporters send is decoded, as a real destination would.
"""

import asyncio
import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import uvloop
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.client import Connection
from benchmarks.processes import Child, child, python, wait_until

PLACES = {"/v1/traces": "otlp", "/api/public/otel/v1/traces": "langfuse", "/v1/batch": "rudderstack"}

_PROJECTS = {"data": [{"id": "bench", "name": "bench", "metadata": {}, "organization": {"id": "o", "name": "o"}}]}


class Sink:
    """What each destination has: distinct spans or events, distinct jobs, and how often one came again."""

    def __init__(self) -> None:
        self._spans: dict[str, set[bytes]] = {name: set() for name in PLACES.values()}
        self._jobs: dict[str, set[bytes]] = {name: set() for name in PLACES.values()}
        self._counts: Counter[str] = Counter()

    def take(self, name: str, body: bytes) -> None:
        """A request of spans, or of events."""
        if name == "rudderstack":
            self._take_events(gzip.decompress(body))
            return
        request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
        for whole in request.resource_spans:
            for scoped in whole.scope_spans:
                for span in scoped.spans:
                    self._counts[f"{name}_repeats"] += span.span_id in self._spans[name]
                    self._spans[name].add(span.span_id)
                    if span.name == "job":
                        self._jobs[name].add(span.span_id)

    def _take_events(self, body: bytes) -> None:
        for event in json.loads(body)["batch"]:
            message_id = event["messageId"].encode()
            self._counts["rudderstack_repeats"] += message_id in self._spans["rudderstack"]
            self._spans["rudderstack"].add(message_id)
            if event.get("event") == "Job Ended":
                self._jobs["rudderstack"].add(event["properties"]["job_id"].encode())

    def counts(self) -> dict[str, int]:
        """As `GET /counts` answers."""
        jobs = {f"{name}_jobs": len(ids) for name, ids in self._jobs.items()}
        return {**jobs, **{f"{name}_spans": len(ids) for name, ids in self._spans.items()}, **self._counts}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in fields}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                answer = json.dumps(self._answer(lines[0].split(" ")[1], body)).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
                writer.write(head.encode() + answer)
        writer.close()

    def _answer(self, path: str, body: bytes) -> object:
        if path == "/v1/metrics":
            return {}
        if path in PLACES:
            self.take(PLACES[path], body)
            return {}
        if path.endswith("/scores"):
            return {"message": "Accepted"}
        return _PROJECTS if path.endswith("/projects") else self.counts()


def serve(port: int) -> None:
    """Serve until somebody ends the process."""

    async def forever() -> None:
        server = await asyncio.start_server(Sink().serve, "127.0.0.1", port, limit=2**24)
        await server.serve_forever()

    uvloop.run(forever())


@contextlib.contextmanager
def sink(port: int) -> Iterator[Child]:
    """A running one."""
    with child("destination", python(f"from benchmarks.export_sink import serve; serve({port})")) as running:
        wait_until(lambda: bool(counts(port)), "the destination", [running])
        yield running


def counts(port: int) -> dict[str, int]:
    """What has arrived; nothing where nobody serves."""
    try:
        return uvloop.run(_counts(port))
    except OSError:
        return {}


async def _counts(port: int) -> dict[str, int]:
    async with Connection(f"http://127.0.0.1:{port}") as connection:
        _, body = await connection.send(connection.encode("GET", "/counts"))
    found: dict[str, int] = json.loads(body)
    return found


def settings(port: int) -> dict[str, str]:
    """All destinations, for the system's processes."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "LANGFUSE_HOST": f"http://127.0.0.1:{port}",
        "LANGFUSE_PUBLIC_KEY": "pk-lf-bench",
        "LANGFUSE_SECRET_KEY": "sk-lf-bench-secret",
        "RUDDERSTACK_WRITE_KEY": "bench-write-key",
        "RUDDERSTACK_DATA_PLANE_URL": f"http://127.0.0.1:{port}",
    }


_OF = {"otlp": "OTEL_", "langfuse": "LANGFUSE_", "rudderstack": "RUDDERSTACK_"}


def of(all_settings: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Those of the settings that are about these destinations."""
    wanted = tuple(_OF[name] for name in names)
    return {name: value for name, value in all_settings.items() if name.startswith(wanted)}
