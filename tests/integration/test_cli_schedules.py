"""`synthralos schedules`: the whole life of a schedule on the command line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthralos.domain.permissions import Role
from synthralos.store.sql.database import Database
from tests.fakes.commands import Command, in_process
from tests.integration.api_place import Place, api_over, core_over

NIGHTLY = """
name = "nightly"
cron = "30 2 * * *"
time_zone = "Europe/Berlin"
job = { prompt = "How was the night?" }
"""


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def run(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("SYNTHRALOS_URL", place.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", place.key(Role.SERVICE))
    monkeypatch.chdir(tmp_path)
    Path("nightly.toml").write_text(NIGHTLY, encoding="utf-8")
    return in_process(monkeypatch, capsys)


def test_a_schedule_lives_on_the_command_line(run: Command) -> None:
    made = run("schedules", "set", "nightly.toml", "--json").json
    mine = made["id"]
    assert "fires next at" in run("schedules", "set", "nightly.toml", "--id", mine, "--if-version", "1").out
    assert run("schedules", "set", "nightly.toml", "--id", mine, "--if-version", "1").code == 5
    assert "nightly" in run("schedules", "list").out
    assert len(run("schedules", "next", mine, "-n", "3", "--json").json["ticks"]) == 3
    assert "source" in run("schedules", "pause", mine, "--note", "the source is down").out
    assert "the source is down" in run("schedules", "list").out
    [job_id] = run("schedules", "run", mine).out.split()
    assert job_id in run("schedules", "firings", mine).out
    assert run("schedules", "firings", mine, "--outcome", "missed", "--json").json == {"firings": []}
    assert run("schedules", "resume", mine, "--json").json["paused"] is False
    filled = run("schedules", "backfill", mine, "2026-01-01", "2026-01-08", "--overlap", "queue_all", "--json").json
    assert filled["ticks"] == 7
    assert run("schedules", "backfills", mine, "--json").json["backfills"] == [filled]
    assert run("schedules", "show", mine, "--json").json["version"] == 2
    assert run("schedules", "remove", mine, "--reason", "over").code == 0
    assert run("schedules", "show", mine).code == 5


def test_a_mistake_in_a_file_is_told_by_its_field(run: Command) -> None:
    wrong = {"name": "x", "cron": "* * *", "job": {"prompt": "Hi"}}
    Path("wrong.json").write_text(json.dumps(wrong), encoding="utf-8")
    done = run("schedules", "set", "wrong.json")
    assert done.code == 5
    assert "cron" in done.err


def test_the_help_teaches_with_a_schedule_that_can_be_copied(run: Command) -> None:
    out = run("schedules", "--help").out
    assert "cron" in out
    assert "Example" in run("schedules", "backfill", "--help").out
