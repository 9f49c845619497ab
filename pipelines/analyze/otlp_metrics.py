"""The families of `/metrics` as OpenTelemetry's metrics, in no encoding yet.

Names are ours, without Prometheus' `_total`, which a collector adds again. What the semantic conventions for
generative AI have a name for is told under that name too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from prometheus_client import Metric
from prometheus_client.samples import Sample

from pipelines.analyze.otlp_spans import PROVIDERS
from synthralos.telemetry import families


class Form(Enum):
    """What a metric is. `SUM`: a counter since the process began, which only grows."""

    GAUGE = "gauge"
    SUM = "sum"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram's state: how many values were in all, their sum, upper bounds, and values in each bucket between.

    There is one bucket more than bounds.
    """

    count: int
    total: float
    bounds: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A figure, and what it is of. Attributes that are None are not there."""

    attributes: Mapping[str, Any]
    value: float | Buckets


@dataclass(frozen=True, slots=True)
class OtlpMetric:
    """One metric with its figures. `unit` is UCUM's."""

    name: str
    description: str
    unit: str
    form: Form
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Called:
    """What is known of a deployment: the operation and the model that a call of it asks for."""

    operation: str
    model: str


Deployments = Callable[[str], Called | None]
"""What is known of a deployment, by its id; None: it is in the catalog no more."""

_FORMS = {"counter": Form.SUM, "gauge": Form.GAUGE, "histogram": Form.HISTOGRAM}
_UNITS = {"_seconds": "s", "_bytes": "By", "_usd": "{USD}"}


def otlp_metrics(collected: Iterable[Metric], deployments: Deployments) -> list[OtlpMetric]:
    """What a registry of Prometheus' holds now. Metrics without figures are left out."""
    found: list[OtlpMetric] = []
    for metric in collected:
        form = _FORMS.get(metric.type)
        points = () if form is None else tuple(_points(metric, form))
        if form is None or not points:
            continue
        unit = next((unit for end, unit in _UNITS.items() if metric.name.endswith(end)), "1")
        found.append(OtlpMetric(metric.name, metric.documentation, unit, form, points))
        found += _conventional(metric.name, points, deployments)
    return found


def _points(metric: Metric, form: Form) -> Iterator[Point]:
    if form is Form.HISTOGRAM:
        yield from _histograms(metric)
        return
    name = f"{metric.name}_total" if form is Form.SUM else metric.name
    yield from (Point(sample.labels, sample.value) for sample in metric.samples if sample.name == name)


def _histograms(metric: Metric) -> Iterator[Point]:
    """One for each set of labels. Prometheus' buckets hold what is in the smaller ones too."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = {}
    totals: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in metric.samples:
        labels = _labels(sample)
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name.endswith("_sum"):
            totals[labels] = sample.value
    for labels, found in buckets.items():
        found.sort()
        below = [0, *(count for _, count in found[:-1])]
        counts = tuple(count - before for (_, count), before in zip(found, below, strict=True))
        bounds = tuple(bound for bound, _ in found[:-1])
        yield Point(dict(labels), Buckets(found[-1][1], totals.get(labels, 0.0), bounds, counts))


def _labels(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in sample.labels.items() if name != "le")


def _conventional(name: str, points: Iterable[Point], deployments: Deployments) -> Iterator[OtlpMetric]:
    """The same under the conventions' name, where they have one."""
    if name == families.CALL_SECONDS.name:
        said = "duration of calls"
        yield OtlpMetric("gen_ai.client.operation.duration", said, "s", Form.HISTOGRAM, _named(points, deployments))
    elif name == families.FIRST_TOKEN_SECONDS.name:
        said = "time to the first chunk of streamed answers"
        named = _named(points, deployments)
        yield OtlpMetric("gen_ai.client.operation.time_to_first_chunk", said, "s", Form.HISTOGRAM, named)
    elif name == families.CALL_TOKENS.name:
        said = "tokens of calls"
        yield OtlpMetric("gen_ai.client.token.usage", said, "{token}", Form.HISTOGRAM, _named(points, deployments))


def _named(points: Iterable[Point], deployments: Deployments) -> tuple[Point, ...]:
    return tuple(Point(_conventions(point.attributes, deployments), point.value) for point in points)


def _conventions(labels: Mapping[str, Any], deployments: Deployments) -> dict[str, Any]:
    called = deployments(labels["deployment"])
    return {
        "gen_ai.operation.name": "chat" if called is None else called.operation,
        "gen_ai.provider.name": PROVIDERS.get(labels["provider"], labels["provider"]),
        "gen_ai.request.model": None if called is None else called.model,
        "gen_ai.token.type": labels.get("kind"),
        "synthralos.deployment": labels["deployment"],
    }
