"""What every exporter of the table promises. A new exporter is covered by a line in `EXPORTERS` and a `Destination`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipelines.analyze.exporters.jsonl import JsonLinesExporter
from pipelines.analyze.protocol import Exporter, Trace
from pipelines.analyze.table import EXPORTERS, build_exporters
from synthralos.config.settings import Settings
from synthralos.domain.ids import new_id


class Destination(ABC):
    """Where one exporter ships to: what arrived there, and how it is made to refuse."""

    settings: dict[str, Any]

    @abstractmethod
    def arrived(self) -> list[Trace]:
        """The traces in the order of their arrival."""

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

    def arrived(self) -> list[Trace]:
        lines = self.path.read_text(encoding="utf-8").split("\n") if self.path.exists() else [""]
        assert lines.pop() == ""
        return [json.loads(line) for line in lines]

    def refuse(self) -> None:
        self._folder.write_text("a file stands where the folder should be")

    def recover(self) -> None:
        self._folder.unlink()


DESTINATIONS: dict[str, Callable[[Path], Destination]] = {"jsonl": File}


@pytest.fixture(params=sorted(DESTINATIONS))
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    return DESTINATIONS[request.param](tmp_path)


@pytest.fixture
def exporter(destination: Destination) -> Iterator[Exporter]:
    [exporter] = build_exporters(Settings(**destination.settings)).values()
    with closing(exporter):
        yield exporter


def trace(**more: Any) -> Trace:
    return {"job": {"id": new_id(), "state": "succeeded", **more}, "spans": [], "events": []}


def ids(traces: list[Trace]) -> list[str]:
    return [each["job"]["id"] for each in traces]


def ship(exporter: Exporter, traces: list[Trace]) -> list[str]:
    """The jobs whose traces are accepted."""
    return sorted(exporter.ship(traces).accepted)


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
    assert exporter.destination.name in DESTINATIONS


def test_traces_arrive_whole_and_in_order(exporter: Exporter, destination: Destination) -> None:
    traces = [trace(number=number) for number in range(30)]
    assert ship(exporter, traces[:20]) == ids(traces[:20])
    assert ship(exporter, traces[20:]) == ids(traces[20:])
    assert destination.arrived() == traces


def test_an_empty_shipment_is_none(exporter: Exporter, destination: Destination) -> None:
    assert ship(exporter, []) == []
    assert destination.arrived() == []


def test_a_repeat_is_accepted(exporter: Exporter, destination: Destination) -> None:
    traces = [trace(), trace()]
    assert ship(exporter, traces) == ship(exporter, traces) == ids(traces)
    assert {each["job"]["id"] for each in destination.arrived()} == set(ids(traces))


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
    shipped = trace(metadata={text[:100]: text})
    assert ship(exporter, [shipped]) == ids([shipped])
    assert destination.arrived() == [shipped]


def test_a_destination_that_refuses_accepts_nothing_and_works_again_later(
    exporter: Exporter, destination: Destination
) -> None:
    first, second = trace(), trace()
    destination.refuse()
    assert refused(exporter, [first, second])
    assert refused(exporter, [first])
    destination.recover()
    assert ship(exporter, [first, second]) == ids([first, second])
    assert destination.arrived() == [first, second]


def test_a_line_that_a_crash_tore_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    whole, next_one = trace(), trace()
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
    assert refused(JsonLinesExporter(path), [trace()])
