"""OTLP: what arrives at a collector, by each wire and encoding, and what is made of its answers."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from pipelines.analyze.exporters.otlp import OtlpExporter
from pipelines.analyze.protocol import Exporter
from pipelines.analyze.table import build_exporters
from synthralos.config.settings import Settings, SettingsError, load_settings
from tests.fakes.exports import OK, PARTIAL, GrpcCollector, HttpCollector, attributes_of, decoded, full_trace, spans_of
from tests.fakes.scripted_server import DROPPED, Answer, Asked, scripted_server


def settings(url: str, **more: Any) -> Settings:
    return Settings(otel_exporter_otlp_endpoint=url, otel_exporter_otlp_timeout=2000, **more)


@pytest.fixture
def collector() -> Iterator[HttpCollector]:
    with scripted_server() as server:
        yield HttpCollector(server)


@pytest.fixture
def over_grpc() -> Iterator[GrpcCollector]:
    with GrpcCollector().running() as collector:
        yield collector


def exporter(url: str, **more: Any) -> OtlpExporter:
    return OtlpExporter(settings(url, **more), "1.2.3")


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_trace_arrives_whole_by_every_wire(protocol: str, compression: str) -> None:
    trace = full_trace("Grüße, 世界 \ud800")
    with scripted_server() as server, GrpcCollector().running() as by_grpc:
        by_http = HttpCollector(server)
        url, collector = (by_grpc.url, by_grpc) if protocol == "grpc" else (server.url, by_http)
        more: dict[str, Any] = {"otel_exporter_otlp_protocol": protocol, "otel_exporter_otlp_compression": compression}
        with closing(exporter(url, **more)) as made:
            assert made.ship([trace]).accepted == [trace["job"]["id"]]
        found = {span.name: span for span in collector.of(trace["job"]["id"])}
    assert set(found) == {"job", "guard", "route", "chat small"}
    assert len(collector.spans) == 5
    call = attributes_of(found["chat small"])
    assert call["gen_ai.provider.name"] == "openai"
    assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (1000, 500)
    assert call["gen_ai.response.finish_reasons"] == ["stop"]
    assert found["guard"].parent_span_id == found["job"].span_id
    assert found["job"].end_time_unix_nano - found["job"].start_time_unix_nano == 500_000_000
    assert [event.name for event in found["job"].events] == ["thought"]


def test_headers_and_what_is_said_of_the_sender_are_as_the_settings_say(collector: HttpCollector) -> None:
    more = {"otel_exporter_otlp_headers": "x-key=a%20b, x-b=c", "otel_resource_attributes": "service.name=mine,a=b"}
    with closing(exporter(collector.server.url, **more)) as made:
        made.ship([full_trace()])
    [asked] = collector.server.asked
    assert (asked.headers["x-key"], asked.headers["x-b"], asked.path) == ("a b", "c", "/v1/traces")
    [sender] = [whole.resource for whole in decoded(asked).resource_spans]
    said = {each.key: each.value.string_value for each in sender.attributes}
    assert said == {"service.name": "mine", "service.version": "1.2.3", "a": "b"}


def test_messages_are_sent_to_those_who_opt_in_alone(collector: HttpCollector) -> None:
    trace = full_trace()
    with closing(exporter(collector.server.url)) as made:
        made.ship([trace])
    assert not any("capital" in str(attributes_of(span)) for span in collector.spans.values())
    with closing(exporter(collector.server.url, otel_instrumentation_genai_capture_message_content=True)) as made:
        made.ship([trace])
    [answered] = [
        found for span in collector.spans.values() if "gen_ai.output.messages" in (found := attributes_of(span))
    ]
    [asked] = json.loads(answered["gen_ai.input.messages"])
    assert asked["parts"] == [{"type": "text", "content": "What is the capital of France?"}]
    assert json.loads(answered["gen_ai.output.messages"])[0]["finish_reason"] == "stop"


STOPS = [401, 403, 404, 405]


@pytest.mark.parametrize("status", STOPS)
def test_a_collector_that_refuses_our_key_stops(collector: HttpCollector, status: int) -> None:
    collector.judge = lambda asked: Answer(status, {"message": "who are you"})
    with closing(exporter(collector.server.url)) as made:
        answer = made.ship([full_trace(), full_trace()])
    assert (answer.accepted, answer.refused) == ([], {})
    assert answer.rest is not None
    assert answer.rest.stopped
    assert "who are you" in answer.rest.reason


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(429, {}, {"Retry-After": "7"}), 7),
        (Answer(503, {}, {"Retry-After": "7"}), 7),
        (Answer(429, {}, {"Retry-After": "999999"}), 3600),
        (Answer(429, {}, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), 0),
    ],
)
def test_a_busy_collector_is_left_alone_for_as_long_as_it_says(
    collector: HttpCollector, answer: Answer, seconds: float
) -> None:
    collector.judge = lambda asked: answer
    with closing(exporter(collector.server.url)) as made:
        rest = made.ship([full_trace()]).rest
    assert rest is not None
    assert (rest.seconds, rest.stopped) == (seconds, False)


@pytest.mark.parametrize("asked", [None, "nonsense", "1e999", "999999999"])
def test_a_busy_collector_that_does_not_say_for_how_long_is_left_alone_as_one_that_is_away(
    collector: HttpCollector, asked: str | None
) -> None:
    collector.judge = lambda _: Answer(429, {}, {} if asked is None else {"Retry-After": asked})
    with closing(exporter(collector.server.url)) as made, pytest.raises(ConnectionError, match="429"):
        made.ship([full_trace()])


@pytest.mark.parametrize(
    "answer",
    [Answer(500, {}), Answer(502, b""), DROPPED, Answer(200, b"half", drop=True)],
    ids=["500", "502", "cut", "half"],
)
def test_what_does_not_answer_accepts_nothing(collector: HttpCollector, answer: Answer) -> None:
    collector.judge = lambda asked: answer
    with closing(exporter(collector.server.url)) as made:
        with pytest.raises(ConnectionError):
            made.ship([full_trace()])
        collector.judge = lambda asked: None
        trace = full_trace()
        assert made.ship([trace]).accepted == [trace["job"]["id"]]


def test_a_collector_that_hangs_is_given_up(collector: HttpCollector) -> None:
    import threading

    let_go = threading.Event()

    def hang(asked: Asked) -> Answer:
        let_go.wait(30)
        return OK

    collector.judge = hang
    with closing(
        OtlpExporter(settings(collector.server.url).model_copy(update={"otel_exporter_otlp_timeout": 300}), "1")
    ) as made:
        try:
            with pytest.raises(TimeoutError):
                made.ship([full_trace()])
        finally:
            let_go.set()


def holds(asked: Asked, job_id: str) -> bool:
    return job_id in {attributes_of(span).get("synthralos.job_id") for span in spans_of(decoded(asked))}


@pytest.mark.parametrize(
    "answer",
    [Answer(400, {"message": "bad span"}), Answer(200, PARTIAL), Answer(422, b"")],
    ids=["400", "partial", "422"],
)
def test_one_trace_that_is_refused_holds_up_no_other(collector: HttpCollector, answer: Answer) -> None:
    traces = [full_trace() for _ in range(9)]
    bad = traces[5]["job"]["id"]
    collector.judge = lambda asked: answer if holds(asked, bad) else None
    with closing(exporter(collector.server.url)) as made:
        told = made.ship(traces)
    others = {trace["job"]["id"] for trace in traces} - {bad}
    assert (set(told.accepted), set(told.refused), told.rest) == (others, {bad}, None)
    assert set(collector.jobs()) == others


def test_requests_that_are_too_large_are_halved_and_a_lone_one_is_trimmed(collector: HttpCollector) -> None:
    limit = 100_000
    collector.judge = lambda asked: Answer(413, {}) if len(asked.body) > limit else None
    large = full_trace("x" * 300_000)
    traces = [*(full_trace("y" * 40_000) for _ in range(6)), large]
    more: dict[str, Any] = {
        "otel_instrumentation_genai_capture_message_content": True,
        "otel_exporter_otlp_compression": "none",
    }
    with closing(exporter(collector.server.url, **more)) as made:
        told = made.ship(traces)
        assert set(told.accepted) == {trace["job"]["id"] for trace in traces}
        before = len(collector.server.asked)
        made.ship([full_trace("y" * 40_000) for _ in range(4)])
        assert len(collector.server.asked) - before == 2  # it has learned how much is taken
    [messages] = [
        found["gen_ai.input.messages"]
        for span in collector.of(large["job"]["id"])
        if "gen_ai.input.messages" in (found := attributes_of(span))
    ]
    assert "trimmed: 300" in messages


def test_what_is_too_large_even_when_trimmed_is_refused(collector: HttpCollector) -> None:
    collector.judge = lambda asked: Answer(413, {})
    trace = full_trace()
    with closing(exporter(collector.server.url)) as made:
        assert set(made.ship([trace]).refused) == {trace["job"]["id"]}


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_over_grpc_too_a_refused_key_stops(over_grpc: GrpcCollector, code: grpc.StatusCode) -> None:
    over_grpc.status = code
    with closing(
        exporter(over_grpc.url, otel_exporter_otlp_protocol="grpc", otel_exporter_otlp_headers="X-Key=k")
    ) as made:
        rest = made.ship([full_trace()]).rest
    assert rest is not None
    assert rest.stopped
    assert over_grpc.metadata[0]["x-key"] == "k"


def test_over_grpc_a_busy_collector_says_for_how_long(over_grpc: GrpcCollector) -> None:
    over_grpc.status = grpc.StatusCode.RESOURCE_EXHAUSTED
    info = RetryInfo(retry_delay=Duration(seconds=9, nanos=500_000_000))
    over_grpc.trailing = [("google.rpc.retryinfo-bin", info.SerializeToString())]
    with closing(exporter(over_grpc.url, otel_exporter_otlp_protocol="grpc")) as made:
        rest = made.ship([full_trace()]).rest
    assert rest is not None
    assert (rest.seconds, rest.stopped) == (9.5, False)


def test_over_grpc_what_does_not_answer_accepts_nothing(over_grpc: GrpcCollector) -> None:
    over_grpc.status = grpc.StatusCode.UNAVAILABLE
    with closing(exporter(over_grpc.url, otel_exporter_otlp_protocol="grpc")) as made:
        with pytest.raises(ConnectionError):
            made.ship([full_trace()])
        over_grpc.status = None
        trace = full_trace()
        assert made.ship([trace]).accepted == [trace["job"]["id"]]


def test_over_grpc_a_request_that_is_too_large_is_halved(over_grpc: GrpcCollector) -> None:
    traces = [full_trace("z" * 1_200_000) for _ in range(4)]
    more: dict[str, Any] = {
        "otel_exporter_otlp_protocol": "grpc",
        "otel_instrumentation_genai_capture_message_content": True,
    }
    with closing(exporter(over_grpc.url, **more)) as made:
        assert set(made.ship(traces).accepted) == {trace["job"]["id"] for trace in traces}
    assert len(over_grpc.metadata) == 2  # 4 MiB is what a collector takes


def test_a_repeat_overwrites(collector: HttpCollector) -> None:
    trace = full_trace()
    with closing(exporter(collector.server.url)) as made:
        made.ship([trace])
        once = set(collector.spans)
        made.ship([trace])
    assert set(collector.spans) == once
    assert len(collector.arrivals) == 2 * len(once)


WRONG = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": {"otel_exporter_otlp_endpoint": "collector:4318"},
    "OTEL_EXPORTER_OTLP_HEADERS": {"otel_exporter_otlp_headers": "nonsense"},
    "OTEL_RESOURCE_ATTRIBUTES": {"otel_resource_attributes": "=x"},
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": {"otel_exporter_otlp_client_certificate": "/tmp/x"},
    "OTEL_EXPORTER_OTLP_PROTOCOL": {"otel_exporter_otlp_protocol": "carrier/pigeon"},
}


@pytest.mark.parametrize(("name", "wrong"), WRONG.items(), ids=WRONG)
def test_a_wrong_setting_is_named(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(**wrong)


def test_the_collectors_key_is_shown_nowhere() -> None:
    chosen = settings("http://127.0.0.1:1", otel_exporter_otlp_headers="x-api-key=canary-123")
    assert "canary-123" not in repr(chosen)
    assert chosen.export_secrets == {"canary-123"}
    made: dict[str, Exporter] = build_exporters(chosen)
    assert "canary-123" not in repr(made)
