"""What every exporter of the table promises. A new exporter is covered by a line in `EXPORTERS` and a `Destination`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.analyze.exporters.jsonl import JsonLinesExporter
from pipelines.analyze.protocol import Exporter, Trace
from pipelines.analyze.table import EXPORTERS, build_exporters
from synthralos.config.settings import Settings
from tests.fakes.data_plane import WRITE_KEY, DataPlane, data_plane
from tests.fakes.exports import Collector, GrpcCollector, HttpCollector, Langfuse, attributes_of, full_trace
from tests.fakes.scripted_server import Answer, scripted_server


class Destination(ABC):
    """Where one exporter ships to: what arrived there, and how it is made to refuse."""

    settings: dict[str, Any]
    longest_text = 1_000_000
    """Characters of a text that arrive in any case; of longer ones the beginning."""

    @abstractmethod
    def arrived(self) -> list[str]:
        """The jobs whose traces arrived, in the order of their arrival; a repeat is there again."""

    @abstractmethod
    def prompt(self, job_id: str) -> str:
        """What the job asked, as it arrived."""

    @abstractmethod
    def kept(self) -> int:
        """How many things the destination tells apart: a repeat adds none. 0: it tells nothing apart."""

    @abstractmethod
    def refuse(self) -> None:
        """Accept nothing."""

    @abstractmethod
    def recover(self) -> None:
        """Accept again."""


class File(Destination):
    def __init__(self, folder: Path) -> None:
        self._folder = folder / "traces"
        self.path = self._folder / "traces.jsonl"
        self.settings = {"trace_export_file": self.path}

    def _lines(self) -> list[Trace]:
        lines = self.path.read_text(encoding="utf-8").split("\n") if self.path.exists() else [""]
        assert lines.pop() == ""
        return [json.loads(line) for line in lines]

    def arrived(self) -> list[str]:
        return ids(self._lines())

    def prompt(self, job_id: str) -> str:
        [line] = [line for line in self._lines() if line["job"]["id"] == job_id]
        return str(line["job"]["request"]["messages"][0]["content"])

    def kept(self) -> int:
        return 0

    def refuse(self) -> None:
        self._folder.write_text("a file stands where the folder should be")

    def recover(self) -> None:
        self._folder.unlink()


class Spans(Destination):
    """A collector of spans."""

    def __init__(self, collector: Collector, **settings: Any) -> None:
        self._collector = collector
        self.settings = {"otel_instrumentation_genai_capture_message_content": True, **settings}

    def arrived(self) -> list[str]:
        return self._collector.jobs()

    def prompt(self, job_id: str) -> str:
        seen = [attributes_of(span) for span in self._collector.of(job_id)]
        [messages] = [found["gen_ai.input.messages"] for found in seen if "gen_ai.input.messages" in found]
        return str(json.loads(messages)[0]["parts"][0]["content"])

    def kept(self) -> int:
        return len(self._collector.spans)

    def refuse(self) -> None:
        if isinstance(self._collector, GrpcCollector):
            import grpc

            self._collector.status = grpc.StatusCode.UNAVAILABLE
        else:
            self._collector.judge = lambda asked: Answer(500, {})

    def recover(self) -> None:
        if isinstance(self._collector, GrpcCollector):
            self._collector.status = None
        self._collector.judge = lambda asked: None


class InLangfuse(Spans):
    def prompt(self, job_id: str) -> str:
        messages = attributes_of(self._collector.root(job_id))["langfuse.observation.input"]
        return str(json.loads(messages)[0]["content"])


class Events(Destination):
    """A data plane of RudderStack."""

    longest_text = 8_000

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self.settings = {
            "rudderstack_write_key": WRITE_KEY,
            "rudderstack_data_plane_url": plane.url,
            "rudderstack_content": "all",
        }

    def _ends(self) -> list[dict[str, Any]]:
        return [event["properties"] for event in self._plane.seen if event.get("event") == "Job Ended"]

    def arrived(self) -> list[str]:
        return [end["job_id"] for end in self._ends()]

    def prompt(self, job_id: str) -> str:
        [end] = [end for end in self._ends() if end["job_id"] == job_id]
        if "request" in end.get("trimmed", ()):
            return str(end["request"].partition('"content":"')[2].partition("…")[0])
        return str(json.loads(end["request"])["messages"][0]["content"])

    def kept(self) -> int:
        return len(self._plane.kept)

    def refuse(self) -> None:
        self._plane.whim = lambda events: Answer(503, {})

    def recover(self) -> None:
        self._plane.whim = lambda events: None


@contextmanager
def file(folder: Path) -> Iterator[Destination]:
    yield File(folder)


@contextmanager
def otlp_http(_: Path) -> Iterator[Destination]:
    with scripted_server() as server:
        yield Spans(HttpCollector(server), otel_exporter_otlp_endpoint=server.url)


@contextmanager
def otlp_grpc(_: Path) -> Iterator[Destination]:
    with GrpcCollector().running() as collector:
        yield Spans(collector, otel_exporter_otlp_endpoint=collector.url, otel_exporter_otlp_protocol="grpc")


@contextmanager
def langfuse(_: Path) -> Iterator[Destination]:
    with scripted_server() as server:
        keys = {"langfuse_public_key": "pk", "langfuse_secret_key": "sk-lf", "langfuse_host": server.url}
        yield InLangfuse(Langfuse(server), **keys)


@contextmanager
def rudderstack(_: Path) -> Iterator[Destination]:
    with data_plane() as plane:
        yield Events(plane)


DESTINATIONS = {
    "jsonl": (file,),
    "otlp": (otlp_http, otlp_grpc),
    "langfuse": (langfuse,),
    "rudderstack": (rudderstack,),
}
"""By the exporter's destination: each way in which it ships."""


@pytest.fixture(params=[make for ways in DESTINATIONS.values() for make in ways], ids=lambda make: make.__name__)
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    with request.param(tmp_path) as made:
        yield made


@pytest.fixture
def exporter(destination: Destination) -> Iterator[Exporter]:
    [exporter] = build_exporters(Settings(**destination.settings)).values()
    with closing(exporter):
        yield exporter


def ids(traces: list[Trace]) -> list[str]:
    return [each["job"]["id"] for each in traces]


def ship(exporter: Exporter, traces: list[Trace]) -> list[str]:
    """The jobs whose traces are accepted."""
    return [*exporter.ship(traces).accepted]


def refused(exporter: Exporter, traces: list[Trace]) -> bool:
    """Whether none of them was accepted: an exporter says so, or raises the reason."""
    try:
        return ship(exporter, traces) == []
    except OSError:
        return True


def test_every_exporter_is_covered() -> None:
    assert len(DESTINATIONS) == len(EXPORTERS)
    assert build_exporters(Settings(trace_export_file=None)) == {}


def test_an_exporter_is_known_by_its_destination(exporter: Exporter) -> None:
    destination = exporter.destination
    assert destination.name in DESTINATIONS
    assert 0 < destination.batch <= destination.most
    assert destination.residency is None  # undeclared, until the settings say so


def test_traces_arrive_in_order(exporter: Exporter, destination: Destination) -> None:
    traces = [full_trace() for _ in range(30)]
    assert ship(exporter, traces[:20]) == ids(traces[:20])
    assert ship(exporter, traces[20:]) == ids(traces[20:])
    assert destination.arrived() == ids(traces)


def test_an_empty_shipment_is_none(exporter: Exporter, destination: Destination) -> None:
    assert ship(exporter, []) == []
    assert destination.arrived() == []


def test_a_repeat_is_accepted_and_overwrites(exporter: Exporter, destination: Destination) -> None:
    traces = [full_trace(), full_trace()]
    assert ship(exporter, traces) == ids(traces)
    kept = destination.kept()
    assert ship(exporter, traces) == ids(traces)
    assert set(destination.arrived()) == set(ids(traces))
    assert destination.kept() == kept


TEXTS = {
    "emoji": "Grüße, 世界 👩\u200d👩\u200d👧",
    "controls": "\x00\x1f\x7f",
    "line ends": "a\nb\r\nc\u2028d\u2029e",
    "quotes": '"\\',
    "right to left": "שלום",
    "long": "x" * 300_000,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_any_text_arrives_as_it_was(exporter: Exporter, destination: Destination, text: str) -> None:
    shipped = full_trace(text, metadata={text[:100]: text})
    assert ship(exporter, [shipped]) == ids([shipped])
    shown = destination.prompt(shipped["job"]["id"])
    assert shown == text or (len(text) > len(shown) > destination.longest_text and text.startswith(shown))


MINIMAL: dict[str, dict[str, Any]] = {
    "denied before it was planned": {
        "state": "denied", "plan": None, "result": None, "failure": None, "user": None, "run_id": None, "metadata": {},
    },
    "failed": {
        "state": "failed", "result": None,
        "failure": {"class": "schema_mismatch", "message": "no such member", "http_status": None},
    },
    "embeddings": {"request": {"model": "auto", "input": ["a", "b"], "provider_options": {}}},
}  # fmt: skip


@pytest.mark.parametrize("job", MINIMAL.values(), ids=MINIMAL)
def test_jobs_of_every_kind_and_end_arrive(exporter: Exporter, destination: Destination, job: dict[str, Any]) -> None:
    shipped = full_trace(**job)
    if job.get("result", ...) is None:
        shipped["spans"] = shipped["spans"][:2]
    assert ship(exporter, [shipped]) == ids([shipped])
    assert destination.arrived() == ids([shipped])


def test_a_destination_that_refuses_accepts_nothing_and_works_again_later(
    exporter: Exporter, destination: Destination
) -> None:
    first, second = full_trace(), full_trace()
    destination.refuse()
    assert refused(exporter, [first, second])
    assert refused(exporter, [first])
    destination.recover()
    assert ship(exporter, [first, second]) == ids([first, second])
    assert destination.arrived() == ids([first, second])


def test_a_line_that_a_crash_tore_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    whole, next_one = full_trace(), full_trace()
    exporter = JsonLinesExporter(path)
    ship(exporter, [whole])
    with path.open("a") as file:
        file.write('{"job": {"id": "to')
    assert ship(exporter, [next_one]) == ids([next_one])
    first, torn, last = path.read_text().splitlines()
    assert [json.loads(first), json.loads(last)] == [whole, next_one]
    assert torn == '{"job": {"id": "to'


def test_a_full_disk_accepts_nothing(tmp_path: Path) -> None:
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("needs /dev/full")
    assert refused(JsonLinesExporter(path), [full_trace()])
