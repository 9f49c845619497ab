"""The metrics of one process: built once, passed to what counts, and shown as Prometheus wants them.

Two ways to give a figure. What happens is counted (`counter`, `histogram`), a batch at a time. What is there anyway is
read when somebody asks (`reads`): a gauge, or a counter that some part keeps as a plain number.
"""

import logging
import platform
from bisect import bisect_left
from collections import Counter as TallyOf
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from synthralos.telemetry import families
from synthralos.telemetry.families import Family, Kind

log = logging.getLogger(__name__)

Labels = tuple[str, ...]
Read = Callable[[], float | Mapping[Labels, float]]
"""A figure, or figures by the values of the family's labels. May be called by any thread, and must not block."""


class BatchHistogram(Histogram):
    """A histogram that takes a batch of values at a cost that hardly depends on their number."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe each of the amounts."""
        self._sum.inc(sum(amounts))
        for place, count in TallyOf(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[place].inc(count)


Part = TypeVar("Part", Counter, BatchHistogram)


class Children(dict[Labels, Part], Generic[Part]):
    """The parts of a counter or histogram by the values of their labels: asking the library for one takes a lock."""

    def __init__(self, whole: Part) -> None:
        super().__init__()
        self._whole: Part = whole

    def __missing__(self, labels: Labels) -> Part:
        part: Part = self._whole.labels(*labels)
        self[labels] = part
        return part


class Metrics:
    """One registry. Nothing is registered anywhere else, and nothing at import."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._counters: dict[Family, Counter] = {}
        self._histograms: dict[Family, BatchHistogram] = {}
        self._readings = _Readings()
        self.registry.register(self._readings)
        ProcessCollector(registry=self.registry)

    def counters(self, family: Family) -> Children[Counter]:
        """The counters of the family by the values of its labels."""
        return Children(self.counter(family))

    def histograms(self, family: Family) -> Children[BatchHistogram]:
        """The histograms of the family by the values of its labels."""
        return Children(self.histogram(family))

    def counter(self, family: Family) -> Counter:
        """The counter of the family, the same one whenever it is asked for."""
        assert family.kind is Kind.COUNTER
        if family not in self._counters:
            self._counters[family] = Counter(family.name, family.meaning, family.labels, registry=self.registry)
        return self._counters[family]

    def histogram(self, family: Family) -> BatchHistogram:
        """The histogram of the family, the same one whenever it is asked for."""
        assert family.kind is Kind.HISTOGRAM
        if family not in self._histograms:
            self._histograms[family] = BatchHistogram(
                family.name, family.meaning, family.labels, registry=self.registry, buckets=family.buckets
            )
        return self._histograms[family]

    def reads(self, family: Family, read: Read) -> None:
        """Ask `read` whenever the metrics are asked for; several may give figures of one family, by other labels."""
        assert family.kind is not Kind.HISTOGRAM
        self._readings.add(family, read)

    def describe(self, process: str) -> None:
        """Say what this process is."""
        labels = (_version(), platform.python_version(), process)
        self.reads(families.BUILD, lambda: {labels: 1.0})

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that the `Accept` header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _Readings(Collector):
    """Asks for the figures when Prometheus does."""

    def __init__(self) -> None:
        self._reads: dict[Family, list[Read]] = defaultdict(list)

    def add(self, family: Family, read: Read) -> None:
        self._reads[family].append(read)

    def collect(self) -> Iterable[Metric]:
        """One family after the other; one that cannot be read is left out, and said."""
        for family, reads in list(self._reads.items()):
            kind = GaugeMetricFamily if family.kind is Kind.GAUGE else CounterMetricFamily
            shown = kind(family.name, family.meaning, labels=family.labels)
            for read in reads:
                for labels, value in _figures(family, read).items():
                    shown.add_metric(labels, value)
            yield shown


def _figures(family: Family, read: Read) -> Mapping[Labels, float]:
    try:
        value = read()
    except Exception:  # the edge of a scrape: a broken figure must not hide the others
        log.exception("%s cannot be read", family.name)
        return {}
    return value if isinstance(value, Mapping) else {(): value}


def _version() -> str:
    try:
        return version("synthralos")
    except PackageNotFoundError:
        return "unknown"
