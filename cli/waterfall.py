"""One job's timeline as a waterfall: every span and event on one scale of time."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output import usd
from cli.texts import shorten
from synthralos_client.models import parse_time

WIDTH = 28
"""Columns of the whole time."""

_NAMES = 14

_STYLES = {"job": "bold", "stage": "cyan", "attempt": "magenta", "event": "yellow"}


class Row(NamedTuple):
    """One line: a span from `start` to `end`, or an event, for which they are the same."""

    kind: str
    name: str
    start: datetime
    end: datetime
    note: str
    failed: bool = False


def waterfall(trace: dict[str, Any], job_id: str) -> RenderableType:
    """The timeline of one job of a trace."""
    job = next(entry for entry in trace["jobs"] if entry["job"]["id"] == job_id)
    rows = rows_of(job)
    if not rows:
        return Text("nothing has happened yet")
    begin, end = min(row.start for row in rows), max(row.end for row in rows)
    table = Table.grid(padding=(0, 1), expand=True)
    for width, justify in ((8, "right"), (8, "right"), (_NAMES, "left"), (WIDTH, "left")):
        table.add_column(width=width, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # a literal
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_row(*(Text(head, "dim") for head in ("at ms", "took ms", "step", "", "")))
    for row in rows:
        style = "red" if row.failed else _STYLES.get(row.kind, "")
        at, took = _milliseconds(row.start, begin), _milliseconds(row.end, row.start)
        indent = "" if row.kind == "job" else "  " if row.kind in ("stage", "event") else "    "
        bar = Text(_bar(row, begin, end), style, no_wrap=True)
        name = Text(indent + shorten(row.name, _NAMES - len(indent)), style, no_wrap=True)
        table.add_row(at, "" if row.kind == "event" else took, name, bar, Text(shorten(row.note, 200)))
    return Group(Text(f"timeline of job {job_id}, trace {trace['trace_id']}", "bold"), table)


def rows_of(job: dict[str, Any]) -> list[Row]:
    """The spans and events of a job, in the order in which they began, what contains others before them."""
    rows = [_span(span) for span in job["spans"]] + [_event(event) for event in job["events"]]
    order = ("job", "stage", "attempt", "event")
    return sorted(rows, key=lambda row: (row.start, order.index(row.kind)))


def _span(span: dict[str, Any]) -> Row:
    start = _time(span["started_at"])
    end = start if span.get("ended_at") is None else _time(span["ended_at"])
    note = _NOTES[span["kind"]](span.get("attributes") or {})
    return Row(span["kind"], span["name"], start, end, note, span.get("status") == "error")


def _event(event: dict[str, Any]) -> Row:
    at = _time(event["at"])
    return Row("event", event["kind"], at, at, _joined(f"by {event['actor']}", _telling(event.get("data") or {})))


def _of_job(attributes: dict[str, Any]) -> str:
    attempts = attributes.get("attempts") or 0
    return _joined(attributes.get("state"), f"{attempts} attempt{'' if attempts == 1 else 's'}", _cost(attributes))


def _of_attempt(attributes: dict[str, Any]) -> str:
    failure, usage = attributes.get("failure"), attributes.get("usage")
    outcome = failure["class"] if failure else attributes.get("outcome")
    tokens = f"{usage['input']} + {usage['output']} tokens" if usage else None
    maybe = "maybe billed" if attributes.get("billed") == "maybe" else None
    late = "late" if attributes.get("late") else None
    return _joined(attributes.get("deployment"), outcome, tokens, _cost(attributes), maybe, late)


def _telling(attributes: dict[str, Any]) -> str:
    told = [attributes.get(name) for name in _TELLING]
    return _joined(*(value["class"] if isinstance(value, dict) else value for value in told))


_TELLING = ("decision", "strategy", "deployment", "failure", "remedy", "state", "reason")
"""What is worth telling of a stage or an event, in this order."""

_NOTES = {"job": _of_job, "stage": _telling, "attempt": _of_attempt}


def _cost(attributes: dict[str, Any]) -> str | None:
    cost = attributes.get("cost_usd")
    return usd(Decimal(cost)) if cost is not None and Decimal(cost) else None


def _joined(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def _bar(row: Row, begin: datetime, end: datetime) -> str:
    whole = (end - begin).total_seconds() or 1.0
    first = round((row.start - begin).total_seconds() / whole * (WIDTH - 1))
    last = max(first, round((row.end - begin).total_seconds() / whole * (WIDTH - 1)))
    mark = "◆" if row.kind == "event" else "█"
    return " " * first + mark * (last - first + 1) + " " * (WIDTH - 1 - last)


def _milliseconds(later: datetime, earlier: datetime) -> str:
    return f"{(later - earlier).total_seconds() * 1000:.1f}"


def _time(text: str) -> datetime:
    time = parse_time(text)
    assert time is not None
    return time
