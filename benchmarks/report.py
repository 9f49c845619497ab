"""What a benchmark says: its figures on standard output, everything else on standard error."""

import json
import math
import sys
from collections.abc import Mapping, Sequence


class BenchmarkError(Exception):
    """A benchmark could not be run, or what it ran was not right. The message is for whoever runs it."""


def figure(metric: str, value: float, unit: str, baseline: float | None = None) -> None:
    """One JSON line. With a baseline, its ratio is value ÷ baseline."""
    line: dict[str, object] = {"metric": metric, "value": _short(value), "unit": unit}
    if baseline is not None:
        line |= {"baseline": _short(baseline), "ratio": round(value / baseline, 3)}
    print(json.dumps(line), flush=True)


def say(text: str) -> None:
    """One line about what happens."""
    print(text, file=sys.stderr, flush=True)


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A readable table; the first column is words, the others are numbers."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    say(f"\n{title}")
    for row in (heads, *rows):
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        say("  " + "  ".join([row[0].ljust(widths[0]), *numbers]))
    say("")


def cpu_table(title: str, seconds: Mapping[str, float], wall: float, units: int, unit: str) -> None:
    """Where the CPU went: seconds, share of one core, and microseconds a unit of work, for each component."""
    rows = [
        [name, f"{used:.2f}", f"{100 * used / wall:.0f} %", f"{1e6 * used / units:.0f}"]
        for name, used in (*seconds.items(), ("together", sum(seconds.values())))
    ]
    table(f"{title} ({wall:.2f} s)", ["component", "CPU s", "of a core", f"µs/{unit}"], rows)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[math.ceil(len(ranked) * percent / 100) - 1]


def _short(value: float) -> float:
    return round(value, 3) if abs(value) < 100 else round(value, 1)
