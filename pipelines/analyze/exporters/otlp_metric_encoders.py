"""Metrics as OTLP's protobuf and JSON: a whole request of one sender.

The numbers of fields are those of opentelemetry/proto/metrics/v1/metrics.proto and
collector/metrics/v1/metrics_service.proto. Sums and histograms are cumulative.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from pipelines.analyze.exporters.otlp_proto import ProtobufEncoder, sender_of
from pipelines.analyze.exporters.otlp_wires import Reading
from pipelines.analyze.exporters.protobuf import I64, VARINT, attributes, double, fixed64, tag, text, varint, within
from pipelines.analyze.otlp_json import attributes as json_attributes
from pipelines.analyze.otlp_metrics import Buckets, Form, OtlpMetric, Point

_CUMULATIVE = 2

_RESOURCE_METRICS, _SCOPE_METRICS, _METRICS = tag(1), tag(2), tag(2)
_NAME, _DESCRIPTION, _UNIT = tag(1), tag(2), tag(3)  # Metric
_DATA = {Form.GAUGE: tag(5), Form.SUM: tag(7), Form.HISTOGRAM: tag(9)}
_POINTS = tag(1)  # Gauge, Sum, Histogram
_TEMPORALITY = tag(2, VARINT) + varint(_CUMULATIVE)
_GROWS = tag(3, VARINT) + varint(1)  # Sum.is_monotonic
_SINCE, _AT, _AS_DOUBLE, _OF_NUMBER = tag(2, I64), tag(3, I64), tag(4, I64), tag(7)  # NumberDataPoint
_COUNT, _SUM, _COUNTS, _BOUNDS, _OF_HISTOGRAM = tag(4, I64), tag(5, I64), tag(6), tag(7), tag(9)  # HistogramDataPoint


class MetricEncoder(Reading, Protocol):
    """Makes requests of metrics."""

    def encode(self, metrics: Sequence[OtlpMetric], since: int, at: int) -> bytes:
        """A request; `since`: when counting began, and `at`: now, in nanoseconds since 1970."""
        ...


class ProtobufMetrics:
    """See `MetricEncoder`."""

    content_type = "application/x-protobuf"

    def __init__(self, sender: Mapping[str, Any]) -> None:
        self._resource, self._scope = sender_of(sender)
        # An answer about points has the fields of one about spans.
        self.rejected = ProtobufEncoder(sender).rejected

    def encode(self, metrics: Sequence[OtlpMetric], since: int, at: int) -> bytes:
        """See `MetricEncoder`."""
        times = _SINCE + fixed64(since) + _AT + fixed64(at)
        encoded = b"".join(within(_METRICS, _metric(metric, times)) for metric in metrics)
        return within(_RESOURCE_METRICS, self._resource + within(_SCOPE_METRICS, self._scope + encoded))


class JsonMetrics:
    """See `MetricEncoder`."""

    content_type = "application/json"

    def __init__(self, sender: Mapping[str, Any]) -> None:
        self._sender = sender

    def encode(self, metrics: Sequence[OtlpMetric], since: int, at: int) -> bytes:
        """See `MetricEncoder`."""
        scope = {"name": "synthralos", "version": self._sender["service.version"]}
        times = {"startTimeUnixNano": str(since), "timeUnixNano": str(at)}
        scoped = {"scope": scope, "metrics": [_as_json(metric, times) for metric in metrics]}
        resource = {"attributes": json_attributes(self._sender)}
        return orjson.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [scoped]}]})

    def rejected(self, answer: bytes) -> int:
        """How many points an answer says were not taken; what is no such answer says nothing."""
        try:
            return int(orjson.loads(answer)["partialSuccess"]["rejectedDataPoints"])
        except (ValueError, KeyError, TypeError):
            return 0


def _metric(metric: OtlpMetric, times: bytes) -> bytes:
    head = within(_NAME, text(metric.name)) + within(_DESCRIPTION, text(metric.description))
    points = b"".join(within(_POINTS, times + _point(point)) for point in metric.points)
    more = {Form.GAUGE: b"", Form.SUM: _TEMPORALITY + _GROWS, Form.HISTOGRAM: _TEMPORALITY}[metric.form]
    return head + within(_UNIT, text(metric.unit)) + within(_DATA[metric.form], points + more)


def _point(point: Point) -> bytes:
    value = point.value
    if not isinstance(value, Buckets):
        return _AS_DOUBLE + double(value) + attributes(_OF_NUMBER, point.attributes)
    counts = struct.pack(f"<{len(value.counts)}Q", *value.counts)
    bounds = struct.pack(f"<{len(value.bounds)}d", *value.bounds)
    summed = _COUNT + fixed64(value.count) + _SUM + double(value.total)
    spread = within(_COUNTS, counts) + within(_BOUNDS, bounds)
    return summed + spread + attributes(_OF_HISTOGRAM, point.attributes)


def _as_json(metric: OtlpMetric, times: Mapping[str, str]) -> dict[str, Any]:
    data: dict[str, Any] = {"dataPoints": [{**times, **_point_as_json(point)} for point in metric.points]}
    if metric.form is not Form.GAUGE:
        data["aggregationTemporality"] = _CUMULATIVE
    if metric.form is Form.SUM:
        data["isMonotonic"] = True
    said = {"name": metric.name, "description": metric.description, "unit": metric.unit}
    return {**said, metric.form.value: data}


def _point_as_json(point: Point) -> dict[str, Any]:
    value, said = point.value, {"attributes": json_attributes(point.attributes)}
    if not isinstance(value, Buckets):
        return {**said, "asDouble": value}
    return {
        **said,
        "count": str(value.count),  # OTLP writes 64-bit numbers as text
        "sum": value.total,
        "bucketCounts": [str(count) for count in value.counts],
        "explicitBounds": list(value.bounds),
    }
