"""Metrics by OTLP: what a collector gets by each wire, and what becomes of them where it does not answer."""

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric

from pipelines.analyze.exporters.metrics_push import MetricsPush
from pipelines.analyze.otlp_metrics import Called
from synthralos.config.settings import Settings, SettingsError, load_settings
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Metrics
from tests.fakes.exports import plain
from tests.fakes.scripted_server import DROPPED, Answer, Asked, scripted_server

AN_HOUR = 3_600_000
OK = Answer(200, ExportMetricsServiceResponse().SerializeToString(), {"Content-Type": "application/x-protobuf"})
WHERE = ("azure", "azure/small@eu")


class Collector:
    """Keeps every request of metrics; `answer` may be replaced."""

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.answer = OK
        self._arrived = threading.Condition()

    def over_http(self, asked: Asked) -> Answer:
        body = gzip.decompress(asked.body)
        as_json = asked.headers["content-type"] == "application/json"
        empty = ExportMetricsServiceRequest()
        self.take(ParseDict(json.loads(body), empty) if as_json else ExportMetricsServiceRequest.FromString(body))
        return self.answer

    def over_grpc(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.take(ExportMetricsServiceRequest.FromString(request))
        return ExportMetricsServiceResponse().SerializeToString()

    def take(self, request: ExportMetricsServiceRequest) -> None:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()

    def await_requests(self, count: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, 30)

    def last(self) -> dict[str, Metric]:
        [whole] = self.requests[-1].resource_metrics
        return {metric.name: metric for metric in whole.scope_metrics[0].metrics}


@contextmanager
def running(collector: Collector, protocol: str) -> Iterator[str]:
    """The address of one that is reached so."""
    if protocol != "grpc":
        with scripted_server() as server:
            server.script = collector.over_http
            yield server.url
        return
    server_ = grpc.server(ThreadPoolExecutor(1))
    methods = {"Export": grpc.unary_unary_rpc_method_handler(collector.over_grpc)}
    name = "opentelemetry.proto.collector.metrics.v1.MetricsService"
    server_.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    url = f"http://127.0.0.1:{server_.add_insecure_port('127.0.0.1:0')}"
    server_.start()
    try:
        yield url
    finally:
        server_.stop(0).wait()


def filled() -> Metrics:
    metrics = Metrics()
    metrics.counter(families.ATTEMPTS).labels(*WHERE, "succeeded", "").inc(3)
    metrics.reads(families.IN_FLIGHT, lambda: 7)
    for seconds in (0.05, 0.3, 500.0):
        metrics.histogram(families.CALL_SECONDS).labels(*WHERE).observe(seconds)
    metrics.histogram(families.FIRST_TOKEN_SECONDS).labels(*WHERE).observe(0.2)
    metrics.histogram(families.CALL_TOKENS).labels(*WHERE, "output").observe(100)
    return metrics


def push(url: str, metrics: Metrics, protocol: str = "http/protobuf", interval: float = AN_HOUR) -> MetricsPush:
    settings = Settings(
        otel_exporter_otlp_endpoint=url,
        otel_exporter_otlp_protocol=protocol,  # type: ignore[arg-type]
        otel_exporter_otlp_timeout=2000,
        otel_metrics_exporter="otlp",
        otel_metric_export_interval=interval,
    )
    return MetricsPush(settings, metrics, {WHERE[1]: Called("chat", "small")}.get)


def labels(point: Any) -> dict[str, Any]:
    return {each.key: plain(each.value) for each in point.attributes}


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
def test_every_kind_of_metric_arrives_by_every_wire(protocol: str) -> None:
    collector = Collector()
    with running(collector, protocol) as url, closing(push(url, filled(), protocol)) as pushing:
        pushing.push()
        found = collector.last()
    counted = found["synthralos_attempts"].sum
    assert (counted.is_monotonic, counted.aggregation_temporality) == (
        True, AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
    )  # fmt: skip
    [point] = counted.data_points
    assert (point.as_double, labels(point)["deployment"]) == (3, WHERE[1])
    assert 0 < point.start_time_unix_nano <= point.time_unix_nano
    assert found["synthralos_calls_in_flight"].gauge.data_points[0].as_double == 7
    [spread] = found["synthralos_provider_seconds"].histogram.data_points
    assert (spread.count, spread.sum) == (3, 500.35)
    assert list(spread.explicit_bounds) == list(families.CALL_SECONDS.buckets)
    assert [count for count in spread.bucket_counts if count] == [1, 1, 1]
    assert spread.bucket_counts[-1] == 1, "what is above all bounds"
    assert len(spread.bucket_counts) == len(spread.explicit_bounds) + 1


def test_what_the_conventions_have_a_name_for_is_told_under_that_name_too() -> None:
    collector = Collector()
    with running(collector, "http/protobuf") as url, closing(push(url, filled())) as pushing:
        pushing.push()
        found = collector.last()
    of_call = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "azure.ai.openai",
        "gen_ai.request.model": "small",
        "synthralos.deployment": WHERE[1],
    }
    duration, usage = found["gen_ai.client.operation.duration"], found["gen_ai.client.token.usage"]
    assert (duration.unit, labels(duration.histogram.data_points[0])) == ("s", of_call)
    assert (usage.unit, labels(usage.histogram.data_points[0])) == (
        "{token}",
        {**of_call, "gen_ai.token.type": "output"},
    )
    assert usage.histogram.data_points[0].sum == 100
    first = found["gen_ai.client.operation.time_to_first_chunk"]
    assert (first.unit, labels(first.histogram.data_points[0])) == ("s", of_call)
    assert first.histogram.data_points[0].sum == 0.2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b""), Answer(401, b""), Answer(400, b""), Answer(429, b"", {"Retry-After": "1"}), DROPPED,
        Answer(200, ExportMetricsServiceResponse(
            partial_success=ExportMetricsPartialSuccess(rejected_data_points=1)
        ).SerializeToString()),
    ],
    ids=["500", "401", "400", "429", "cut", "partial"],
)  # fmt: skip
def test_what_a_collector_does_not_take_is_counted_and_is_in_the_next_request(answer: Answer) -> None:
    collector, metrics = Collector(), filled()
    collector.answer = answer
    with running(collector, "http/protobuf") as url, closing(push(url, metrics)) as pushing:
        assert pushing.push() >= 0.0
        metrics.counter(families.ATTEMPTS).labels(*WHERE, "succeeded", "").inc()
        collector.answer = OK
        assert pushing.push() == 0.0
        found = collector.last()
    assert found["synthralos_attempts"].sum.data_points[0].as_double == 4
    outcomes = {labels(point)["outcome"] for point in found["synthralos_metrics_pushes"].sum.data_points}
    assert outcomes & {"failed", "refused"}


def test_they_are_sent_by_themselves() -> None:
    collector = Collector()
    with running(collector, "http/protobuf") as url, closing(push(url, filled(), interval=20.0)):
        collector.await_requests(3)


def test_they_are_sent_a_last_time_at_the_end() -> None:
    collector = Collector()
    with running(collector, "http/protobuf") as url:
        push(url, filled()).close()
        collector.await_requests(1)


def test_nobody_listening_holds_up_nothing() -> None:
    with running(Collector(), "http/protobuf") as url:
        pass
    with closing(push(url, filled())) as pushing:
        assert pushing.push() >= 0.0


def test_metrics_have_an_address_of_their_own_where_one_is_set() -> None:
    base = {"otel_exporter_otlp_endpoint": "http://collector:4318", "otel_metrics_exporter": "otlp"}
    assert load_settings(**base).metrics_url == "http://collector:4318/v1/metrics"
    own = load_settings(**base, otel_exporter_otlp_metrics_endpoint="http://metrics:9/otlp")
    assert (own.metrics_url, own.traces_url) == ("http://metrics:9/otlp", "http://collector:4318/v1/traces")
    with pytest.raises(SettingsError, match="OTEL_METRICS_EXPORTER"):
        load_settings(otel_metrics_exporter="otlp")
