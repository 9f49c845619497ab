"""Destinations of exports as real servers that speak the true wire protocols, and misbehave as they are told to."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from synthralos.domain.ids import new_id, trace_id_of
from synthralos.domain.spans import root_span_id
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer

OK = Answer(200, ExportTraceServiceResponse().SerializeToString(), {"Content-Type": "application/x-protobuf"})
PARTIAL = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="no")
).SerializeToString()

Judge = Callable[[Asked], Answer | None]
"""What is answered to a request instead of that it is taken; None: it is taken."""


def plain(value: AnyValue) -> Any:
    """An attribute's value in Python."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def attributes_of(span: Span) -> dict[str, Any]:
    """A span's attributes by name."""
    return {each.key: plain(each.value) for each in span.attributes}


def spans_of(request: ExportTraceServiceRequest) -> list[Span]:
    """All spans of a request."""
    return [span for whole in request.resource_spans for scoped in whole.scope_spans for span in scoped.spans]


def decoded(asked: Asked) -> ExportTraceServiceRequest:
    """A request of spans as it arrived."""
    body = gzip.decompress(asked.body) if asked.headers.get("content-encoding") == "gzip" else asked.body
    if asked.headers["content-type"] == "application/json":
        return from_json(json.loads(body))
    assert asked.headers["content-type"] == "application/x-protobuf"
    return ExportTraceServiceRequest.FromString(body)


def from_json(document: dict[str, Any]) -> ExportTraceServiceRequest:
    """OTLP's JSON has hexadecimal ids where protobuf's own has Base64."""
    from base64 import b64encode

    from google.protobuf.json_format import ParseDict

    for whole in document["resourceSpans"]:
        for scoped in whole["scopeSpans"]:
            for span in scoped["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    span[name] = b64encode(bytes.fromhex(span[name])).decode()
    return ParseDict(document, ExportTraceServiceRequest())


class Collector:
    """What has arrived, by span id: a repeat overwrites. `judge` may be replaced at any time."""

    def __init__(self) -> None:
        self.spans: dict[bytes, Span] = {}
        self.arrivals: list[bytes] = []
        self.judge: Judge = lambda asked: None
        self._lock = threading.Lock()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans."""
        with self._lock:
            for span in spans_of(request):
                self.spans[span.span_id] = span
                self.arrivals.append(span.span_id)

    def jobs(self) -> list[str]:
        """The jobs whose root spans have arrived, in the order of their arrival; a repeat is there again."""
        with self._lock:
            roots = {root: self.spans[root] for root in self.arrivals if self.spans[root].name == "job"}
            return [attributes_of(roots[root])["synthralos.job_id"] for root in self.arrivals if root in roots]

    def root(self, job_id: str) -> Span:
        """The root span of a job."""
        return self.spans[bytes.fromhex(root_span_id(job_id))]

    def of(self, job_id: str) -> list[Span]:
        """All spans of a job's trace."""
        trace_id = self.root(job_id).trace_id
        return [span for span in self.spans.values() if span.trace_id == trace_id]


class HttpCollector(Collector):
    """A collector over HTTP."""

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__()
        self.server = server
        server.script = self._answer

    def _answer(self, asked: Asked) -> Answer:
        judged = self.judge(asked)
        if (judged is not None and judged.status >= 300) or (judged is not None and judged.drop):
            return judged
        if asked.path.endswith("/v1/traces"):
            if judged is None:
                self.take(decoded(asked))
            return judged or OK
        return judged or self.other(asked)

    def other(self, asked: Asked) -> Answer:
        """What is no request of spans."""
        return Answer(404)


class Langfuse(HttpCollector):
    """Langfuse: spans, scores and projects, all with the project's keys."""

    project = "project-1"

    def __init__(self, server: ScriptedServer) -> None:
        super().__init__(server)
        self.scores: dict[str, dict[str, Any]] = {}
        self.poisoned: set[str] = set()
        """Names of scores that are refused."""

    def other(self, asked: Asked) -> Answer:
        if asked.path == "/api/public/projects":
            return Answer(200, {"data": [{"id": self.project, "name": "x", "metadata": {}, "organization": _ORG}]})
        assert (asked.method, asked.path) == ("POST", "/api/public/scores")
        given = asked.json()
        errors = [{"message": f"{score['name']} is refused"} for score in given if score["name"] in self.poisoned]
        for score in given:
            if score["name"] not in self.poisoned:
                self.scores[score["id"]] = score
        if errors:
            return Answer(207, {"accepted": len(given) - len(errors), "rejected": len(errors), "errors": errors})
        return Answer(202, {"message": "Accepted"})

    def scores_of(self, job_id: str) -> dict[str, Any]:
        """The values by name."""
        return {score["name"]: score["value"] for key, score in self.scores.items() if key.startswith(job_id)}


_ORG = {"id": "org-1", "name": "acme"}


class GrpcCollector(Collector):
    """A collector over gRPC. `status` is answered instead, where it is set, with `details` and trailing metadata."""

    def __init__(self) -> None:
        super().__init__()
        self.status: grpc.StatusCode | None = None
        self.details = "as it was told"
        self.trailing: Sequence[tuple[str, bytes]] = ()
        self.metadata: list[dict[str, str]] = []
        self.url = ""

    def export(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.metadata.append({each.key: each.value for each in context.invocation_metadata()})
        if self.status is not None:
            context.set_trailing_metadata(tuple(self.trailing))
            context.abort(self.status, self.details)
        self.take(ExportTraceServiceRequest.FromString(request))
        return ExportTraceServiceResponse().SerializeToString()

    @contextmanager
    def running(self) -> Iterator["GrpcCollector"]:
        server = grpc.server(ThreadPoolExecutor(2))
        methods = {"Export": grpc.unary_unary_rpc_method_handler(self.export)}
        name = "opentelemetry.proto.collector.trace.v1.TraceService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
        self.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield self
        finally:
            server.stop(0).wait()


AT = "2026-01-31T12:00:00.000000Z"


def full_trace(text: str = "What is the capital of France?", **job: Any) -> dict[str, Any]:
    """A trace of a job with a guard and a route span, a failed and an answered call, a thought and feedback."""
    job_id = new_id()
    root = root_span_id(job_id)
    usage = {"input": 1000, "cached": 100, "cache_write": 0, "cache_write_1h": 0, "output": 500, "reasoning": 50}
    failure = {"class": "server_error", "message": "500 from a test"}
    call = {
        "attempt_no": 2, "deployment": "openai/small@eu", "provider": "openai", "model": "small", "region": "eu",
        "service_tier": None, "credential": "main", "outcome": "succeeded", "billed": "yes", "late": False,
        "failure": None, "provider_model": "small-2026", "provider_request_id": "request-2", "usage": usage,
        "reserved_usd": "0.001", "cost_usd": "0.0004425", "seconds": 1.5,
    }  # fmt: skip
    failed = {**call, "attempt_no": 1, "outcome": "failed", "failure": failure, "usage": None, "cost_usd": None}

    def span(number: int, name: str, kind: str, status: str, attributes: dict[str, Any]) -> dict[str, Any]:
        span_id = root if kind == "job" else f"{number:016x}"
        times = {"started_at": f"2026-01-31T12:00:0{number}.000000Z", "ended_at": f"2026-01-31T12:00:0{number}.500000Z"}
        parent = None if kind == "job" else root
        return {
            "span_id": span_id, "parent_span_id": parent, "name": name, "kind": kind, **times, "status": status,
            "attributes": attributes,
        }  # fmt: skip

    ids = int(job_id.replace("-", ""), 16) % 2**60
    spans = [
        span(0, "job", "job", "ok", {"job_id": job_id, "organization": "acme", "state": "succeeded"}),
        span(1, "guard", "stage", "ok", {"decision": "flag"}),
        span(2, "route", "stage", "ok", {"strategy": "cheapest"}),
        span(3, "attempt 1", "attempt", "error", failed),
        span(4, "attempt 2", "attempt", "ok", call),
    ]
    for number, each in enumerate(spans[1:], 1):
        each["span_id"] = f"{ids + number:016x}"
    finding = {"guard": "abuse", "decision": "flag", "reason": "it looks odd", "field": None, "signals": {"score": 0.7}}
    view = {
        "id": job_id, "state": "succeeded", "stage": "analyze", "lane": "bulk", "model": "auto", "organization": "acme",
        "workspace": "main", "user": "ann", "trace_id": trace_id_of(job_id), "run_id": "run-7", "api_key_id": None,
        "metadata": {"team": "blue", "n": 7}, "created_at": AT, "run_at": None, "deadline": None, "finished_at": AT,
        "attempts": 2, "cost": {"usd": "0.0004425", "known": True, "maybe_billed_attempts": 0}, "failure": None,
        "request": {
            "model": "auto", "messages": [{"role": "user", "content": text}], "temperature": 0.5,
            "response_format": {"type": "json_schema"}, "provider_options": {},
        },
        "constraints": {}, "verdict": {"decision": "flag", "findings": [finding]}, "waits_for": None,
        "expected_at": None, "plan": {"cursor": 1, "steps": []},
        "result": {
            "text": "Paris", "tool_calls": [], "finish_reason": "stop", "model": "small-2026",
            "deployment": "openai/small@eu", "usage": None,
        },
        **job,
    }  # fmt: skip
    thought = {"id": new_id(), "kind": "thought", "actor": "agent", "at": AT, "data": {"text": "France it is"}}
    said = {"source": "human", "label": "helpful", "score": 0.5, "comment": "so so", "by": "ann", "at": AT}
    return {"job": view, "spans": spans, "events": [thought], "feedback": [said]}
