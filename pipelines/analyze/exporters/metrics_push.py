"""Sending the metrics of a process to a collector by OTLP, besides showing them at `/metrics`.

A thread of its own: a collector that hangs, or is away, costs nobody anything, and what it misses is in the next
request, since counters are cumulative.
"""

import logging
import os
import random
import socket
import threading
import time
from importlib import metadata

from pipelines.analyze.exporters.otlp_metric_encoders import JsonMetrics, MetricEncoder, ProtobufMetrics
from pipelines.analyze.exporters.otlp_wires import Wire, wire_of
from pipelines.analyze.exporters.splitting import Refusal, Reply
from pipelines.analyze.otlp_metrics import Deployments, otlp_metrics
from pipelines.analyze.otlp_spans import resource
from synthralos.config.export_settings import OtlpSettings
from synthralos.domain.backoff import Backoff
from synthralos.domain.exports import Rest
from synthralos.domain.ids import new_id
from synthralos.telemetry.families import METRICS_PUSHED
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Reminder

log = logging.getLogger(__name__)

_METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

PAUSES = Backoff(base=5.0, cap=600.0)
"""Added to the interval where the collector does not answer."""

_LAST = 2.0
"""Seconds that the last request may take at the end of the process."""


class MetricsPush:
    """Sends all metrics once an interval; `close` sends them a last time."""

    def __init__(
        self, settings: OtlpSettings, metrics: Metrics, deployments: Deployments, rng: random.Random | None = None
    ) -> None:
        """`deployments` must not block. Raises `ImportError` where what OTLP needs is not installed."""
        instance = {"service.instance.id": new_id(), "host.name": socket.gethostname(), "process.pid": str(os.getpid())}
        sender = resource(metadata.version("synthralos"), {**instance, **settings.resource_attributes})
        by_json = settings.otel_exporter_otlp_protocol == "http/json"
        self._encoder: MetricEncoder = JsonMetrics(sender) if by_json else ProtobufMetrics(sender)
        self._wire: Wire = wire_of(settings, self._encoder, settings.metrics_url, _METHOD)
        self._interval = settings.otel_metric_export_interval / 1000
        self._metrics, self._deployments = metrics, deployments
        self._pushed = metrics.counters(METRICS_PUSHED)
        self._random = rng or random.Random()
        self._since = time.time_ns()
        self._failures = 0
        self._reminder = Reminder()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-push", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send them a last time, where the collector answered lately, and end."""
        self._stopping.set()
        self._thread.join(_LAST)

    def _run(self) -> None:
        pause = self._random.uniform(0, min(1.0, self._interval))  # processes that start together do not push together
        while not self._stopping.wait(pause):
            pause = self._interval + self.push()
        if not self._failures:
            self.push()
        self._wire.close()

    def push(self) -> float:
        """Send them now; the seconds that the collector is to be left alone besides the interval."""
        try:
            metrics = otlp_metrics(self._metrics.registry.collect(), self._deployments)
            reply: Reply = self._wire.send(self._encoder.encode(metrics, self._since, time.time_ns()))
        except Exception as error:  # noqa: BLE001 - the edge of a thread: the next request has all of it
            reply = Rest(PAUSES.seconds(self._failures, self._random), str(error) or type(error).__name__)
        if reply is None:
            self._failures = 0
            self._pushed["accepted",].inc()
            return 0.0
        self._failures += 1
        self._pushed["refused" if isinstance(reply, Refusal) else "failed",].inc()
        if self._reminder.due(time.monotonic()):
            log.warning("the collector did not take our metrics: %s", reply.reason)
        return reply.seconds if isinstance(reply, Rest) else 0.0
