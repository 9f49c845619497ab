"""How the command shows things: help, money, times, text of strangers, timelines."""

from decimal import Decimal
from typing import Any

import pytest
import typer
from rich.console import Console

from cli.main import app
from cli.output import usd
from cli.texts import printable, shorten
from cli.waterfall import rows_of, waterfall
from tests.fakes.commands import Command, in_process


def leaves(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = getattr(command, "commands", {})
    found = [leaf for name, below in inner.items() for leaf in leaves(below, (*path, name))]
    return found or [path]


COMMANDS = leaves(typer.main.get_command(app))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return in_process(monkeypatch, capsys)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(run: Command, words: tuple[str, ...]) -> None:
    done = run(*words, "--help")
    assert done.code == 0
    assert done.out


def test_the_commands_are_the_ones_that_people_are_promised() -> None:
    assert {words[0] for words in COMMANDS} == {
        "up", "api", "worker", "scheduler", "demo", "migrate", "check", "status", "models", "doctor", "keys",
        "organizations", "jobs", "flags", "limits", "deployments", "aliases", "policies", "route", "guardrails",
        "audit", "breakers", "credentials", "quotas", "dead-letters", "runs", "costs", "budgets", "ledger", "schedules",
        "waits", "repairs", "incidents", "traces", "exports", "metrics", "errors", "demand", "events", "webhooks",
        "retention", "erase", "exporter",
    }  # fmt: skip
    assert {words[1] for words in COMMANDS if words[0] == "jobs"} == {
        "submit", "list", "show", "evidence", "tail", "retry", "reroute", "cancel", "wait"
    }  # fmt: skip


def test_a_command_that_does_not_exist_is_a_wrong_argument(run: Command) -> None:
    assert run("jbos").code == 2


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "$0"), ("0E-12", "$0"), ("1.50", "$1.5"), ("1E-7", "$0.0000001"), ("100", "$100"), ("1E+2", "$100")],
)
def test_money_is_shown_exactly(amount: str, shown: str) -> None:
    assert usd(Decimal(amount)) == shown


def test_what_a_model_wrote_cannot_drive_the_terminal() -> None:
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(printable("a\x1b[2Jb\x07c\x9bd\re"))
    assert printable("tab\tline\nümlaut 世界") == "tab\tline\nümlaut 世界"


def test_long_text_is_cut_to_one_line() -> None:
    assert shorten("a\n b\tc", 10) == "a b c"
    assert len(shorten("x" * 100, 20)) == 20


def span(kind: str, name: str, start: str, end: str | None, **attributes: Any) -> dict[str, Any]:
    begin, finish = f"2030-01-01T00:00:0{start}Z", None if end is None else f"2030-01-01T00:00:0{end}Z"
    return {"kind": kind, "name": name, "started_at": begin, "ended_at": finish, "attributes": attributes}


TRACE = {
    "trace_id": "t1",
    "jobs": [
        {
            "job": {"id": "j1"},
            "spans": [
                span("stage", "guard", "0.000", "0.100", decision="allow"),
                span("attempt", "attempt 1", "0.100", None, deployment="a/[b]@us", usage=None, failure=None),
                span("job", "job", "0.000", "2.000", state="succeeded", attempts=1, cost_usd="0.01"),
            ],
            "events": [{"id": "e1", "kind": "retried", "actor": "ana", "at": "2030-01-01T00:00:01Z", "data": {}}],
        }
    ],
}


def test_a_timeline_is_in_the_order_of_time_with_the_job_first() -> None:
    assert [row.name for row in rows_of(TRACE["jobs"][0])] == [  # type: ignore[arg-type]
        "job", "guard", "attempt 1", "retried"
    ]  # fmt: skip


def test_a_timeline_is_drawn_with_names_as_they_are() -> None:
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - closed with the console
    with console.file:
        console.print(waterfall(TRACE, "j1"))
        drawn = console.export_text()
    assert "a/[b]@us" in drawn
    assert "2000.0" in drawn
