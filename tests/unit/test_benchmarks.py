"""The benchmarks' command line; that they run is what the smoke runs of CI show."""

import importlib
import json

import pytest

from benchmarks import __main__ as command_line
from benchmarks.report import figure, percentile


def test_listing_names_every_benchmark_first_on_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks"])
    assert command_line.main() == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(command_line.BENCHMARKS)


@pytest.mark.parametrize("name", command_line.BENCHMARKS)
def test_every_listed_benchmark_can_be_run(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").main)


def test_an_unknown_benchmark_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "nonsense"])
    with pytest.raises(SystemExit):
        command_line.main()


def test_a_figure_is_one_json_line_with_its_ratio_to_the_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    figure("throughput", 50.0, "jobs/s", baseline=200.0)
    figure("added_p50_ms", 4.2, "ms")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"metric": "throughput", "value": 50.0, "unit": "jobs/s", "baseline": 200.0, "ratio": 0.25},
        {"metric": "added_p50_ms", "value": 4.2, "unit": "ms"},
    ]


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, 50), percentile(values, 99), percentile([7.0], 95)] == [50.0, 99.0, 7.0]
