"""Traces to Langfuse: spans to its OTLP address, scores beside them, and the project's id through its SDK's client.

All are asked synchronously, over one connection, and what each answers is looked at. The SDK's own ways for spans and
scores, queues that are emptied in the background, say nothing of what arrived: docs/internals.md has the reasons.
"""

import base64
import gzip
from collections.abc import Iterable, Sequence

import orjson
from langfuse import __version__ as sdk_version
from langfuse.api import LangfuseAPI
from langfuse.api.core import ApiError
from langfuse.api.scores.types.create_score_batch_results import CreateScoreBatchResults
from langfuse.api.scores.types.create_scores_response import CreateScoresResponse
from pydantic import TypeAdapter, ValidationError

from pipelines.analyze.exporters.http_replies import reply_of
from pipelines.analyze.exporters.langfuse_spans import Filing, Score, langfuse_spans, scores, small_spans
from pipelines.analyze.exporters.otlp_proto import ProtobufEncoder
from pipelines.analyze.exporters.splitting import Fault, Packed, Refusal, Reply, Splitter
from pipelines.analyze.otlp_spans import resource
from pipelines.analyze.protocol import Answer, Trace
from pipelines.posting import Poster, plain_errors
from synthralos.config.export_settings import LangfuseSettings
from synthralos.domain.exports import Destination
from synthralos.domain.flags import Flag

MOST_BYTES = 3_000_000
"""Of a request of spans."""

_SCORES_BYTES = 900_000
"""Of a request of scores: Langfuse reads 1 MiB."""

_MOST_TRACES = 200
_IN_PART = 207
_OF_SPANS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "gzip",
    "x-langfuse-ingestion-version": "4",
}
_TO_SCORES: TypeAdapter[CreateScoresResponse] = TypeAdapter(CreateScoresResponse)


class LangfuseExporter:
    """Sends finished traces; see docs/exports.md."""

    def __init__(self, settings: LangfuseSettings, release: str) -> None:
        public, secret = settings.langfuse_public_key or "", settings.langfuse_secret_key
        password = "" if secret is None else secret.get_secret_value()
        host = settings.langfuse_host or ""
        self.destination = Destination(
            "langfuse", settings.langfuse_residency, Flag.ENABLE_LANGFUSE_EXPORT, most=_MOST_TRACES
        )
        self._host, self._project = host, ""
        self._filing = Filing(settings.langfuse_tracing_environment, release)
        self._encoder = ProtobufEncoder(resource(release))
        self._poster = Poster(settings.langfuse_timeout)
        known = _headers(public, password)
        self._headers = {**known, **_OF_SPANS}
        self._plain_headers = {**known, "Content-Type": "application/json"}
        self._api = LangfuseAPI(
            base_url=host,
            username=public,
            password=password,
            x_langfuse_sdk_name="python",
            x_langfuse_sdk_version=sdk_version,
            x_langfuse_public_key=public,
            httpx_client=self._poster.client,
            timeout=settings.langfuse_timeout,
        )
        self._splitter = Splitter(self._send, MOST_BYTES)
        self._scores: dict[str, list[Score]] = {}

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """See `Exporter`. A trace is accepted when its spans are, and its scores."""
        self._scores = {trace["job"]["id"]: scores(trace, self._filing.environment) for trace in traces}
        return self._splitter.ship(traces, self._pack)

    def link(self) -> str | None:
        """See `Linking`. The project's id is asked for once."""
        if not self._project:
            try:
                with plain_errors():
                    found = self._api.projects.get(request_options={"max_retries": 0})
            except (ApiError, OSError):
                return None
            self._project = found.data[0].id if found.data else ""
        return f"{self._host}/project/{self._project}/traces/{{trace_id}}" if self._project else None

    def close(self) -> None:
        """See `Exporter`."""
        self._poster.close()

    def _pack(self, trace: Trace) -> Packed:
        spans = langfuse_spans(trace, self._filing)
        return Packed(
            trace["job"]["id"],
            self._encoder.encode(spans),
            lambda: self._encoder.encode(small_spans(trace, self._filing)),
        )

    def _send(self, packed: Sequence[Packed]) -> Reply:
        body = gzip.compress(self._encoder.join([each.body for each in packed]), 1)
        posted = self._poster.post(f"{self._host}/api/public/otel/v1/traces", body, self._headers)
        reply = reply_of(posted, partial=posted.status < 300 and self._encoder.rejected(posted.body) > 0)
        return reply if reply is not None else self._send_scores(packed)

    def _send_scores(self, packed: Sequence[Packed]) -> Reply:
        wanted = [score for each in packed for score in self._scores[each.key]]
        for some in _bounded(map(orjson.dumps, wanted)):
            if (reply := self._score(some)) is not None:
                return reply
        return None

    def _score(self, some: Sequence[bytes]) -> Reply:
        """Langfuse does not say which scores it refuses: then it is asked with fewer."""
        posted = self._poster.post(f"{self._host}/api/public/scores", b"[%b]" % b",".join(some), self._plain_headers)
        if not 200 <= posted.status < 300:
            return reply_of(posted)
        try:
            answer = _TO_SCORES.validate_json(posted.body)
        except ValidationError:
            if posted.status == _IN_PART:  # longer than what is read of an answer
                return Refusal(Fault.INVALID, "scores were not taken")
            raise ConnectionError("what it answered to scores is no whole answer") from None
        if isinstance(answer, CreateScoreBatchResults) and answer.rejected:
            reasons = "; ".join(error.message for error in answer.errors[:3])
            return Refusal(Fault.INVALID, f"scores were not taken: {reasons}")
        return None


def _headers(public: str, secret: str) -> dict[str, str]:
    credentials = base64.b64encode(f"{public}:{secret}".encode()).decode()
    return {
        "Authorization": f"Basic {credentials}",
        "x-langfuse-sdk-name": "python",
        "x-langfuse-sdk-version": sdk_version,
        "x-langfuse-public-key": public,
    }


def _bounded(wanted: Iterable[bytes]) -> list[list[bytes]]:
    """As many in each as Langfuse reads: a score has a few thousand bytes at most."""
    groups: list[list[bytes]] = []
    room = 0
    for score in wanted:
        size = len(score) + 1
        if not groups or size > room:
            groups.append([])
            room = _SCORES_BYTES
        groups[-1].append(score)
        room -= size
    return groups
