"""`synthralos doctor`, `status` and `models`: what operators ask first."""

from contextlib import closing
from pathlib import Path

import pytest

from cli.checkups import LITTLE, SCARCE, disk_finding
from synthralos.config.settings import Settings
from synthralos.domain.exports import Booking, Destination, Rest
from synthralos.store.admin.processes import Leadership, Processes
from synthralos.store.exports.backlog import Backlog
from synthralos.store.sql.database import Database
from tests.fakes.commands import Command, in_process


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_database: str, tmp_path: Path
) -> Command:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", sqlite_database)
    monkeypatch.chdir(tmp_path)
    return in_process(monkeypatch, capsys)


def levels(run: Command) -> dict[str, str]:
    return {finding["what"]: finding["level"] for finding in run("doctor", "--json").json["findings"]}


def test_a_database_that_is_not_there_yet_is_not_made_by_looking(run: Command, tmp_path: Path) -> None:
    assert levels(run)["database"] == "warning"
    assert not list(tmp_path.iterdir())
    assert run("doctor").code == 0


def test_a_schema_that_is_behind_is_a_fault(run: Command) -> None:
    run("migrate")
    run("migrate", "down", "--to", "base", "--yes")
    assert levels(run)["schema"] == "fault"
    assert run("doctor").code == 1
    run("migrate")
    assert levels(run)["schema"] == "ok"
    assert run("doctor").code == 0


def test_every_fault_and_warning_says_what_to_do(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run("migrate")
    monkeypatch.setenv("BROKER_URL", "amqp://u:secret@127.0.0.1:1")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1")
    done = run("doctor", "--json")
    assert done.code == 1
    found = {finding["what"]: finding for finding in done.json["findings"]}
    assert found["broker"]["level"] == found["redis"]["level"] == "fault"
    assert all(finding["remedy"] for finding in found.values() if finding["level"] != "ok")
    assert "secret" not in done.out + done.err


def test_servers_that_are_there_are_well(run: Command, monkeypatch: pytest.MonkeyPatch, amqp_vhost: str) -> None:
    monkeypatch.setenv("BROKER_URL", amqp_vhost)
    assert levels(run)["broker"] == "ok"


def test_a_redis_that_is_there_is_well(run: Command, monkeypatch: pytest.MonkeyPatch, redis_server_url: str) -> None:
    monkeypatch.setenv("REDIS_URL", redis_server_url)
    assert levels(run)["redis"] == "ok"


def test_no_provider_that_can_be_used_is_a_fault(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(run)["providers"] == "warning"
    monkeypatch.setenv("SANDBOX", "off")
    assert levels(run)["providers"] == "fault"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert levels(run)["providers"] == "ok"


def test_destinations_that_get_nothing_are_told(
    run: Command, monkeypatch: pytest.MonkeyPatch, sqlite_database: str
) -> None:
    run("migrate")
    with closing(Database(sqlite_database)) as database:
        backlog = Backlog(database)
        backlog.serve(Destination("langfuse"))
        assert levels(run)["exports"] == "ok"
        backlog.book("langfuse", Booking(rest=Rest(60.0, "the key is refused", stopped=True), error="401"))
        told = {finding["what"]: finding for finding in run("doctor", "--json").json["findings"]}
        assert told["exports"]["level"] == "warning"
        assert "synthralos exports resume langfuse" in told["exports"]["remedy"]
        assert "exporters" not in told
        monkeypatch.setenv("EXPORT_BY", "exporters")
        assert levels(run)["exporters"] == "warning"
        Processes(database).register("exporter")
        assert "exporters" not in levels(run)


@pytest.mark.parametrize(("free", "level"), [(LITTLE, "ok"), (LITTLE - 1, "warning"), (SCARCE - 1, "fault")])
def test_a_disk_that_fills_is_told_before_it_is_full(tmp_path: Path, free: int, level: str) -> None:
    assert disk_finding(tmp_path, lambda: free).level == level


def test_status_shows_processes_and_who_leads(run: Command, sqlite_database: str) -> None:
    run("migrate")
    assert run("status", "--json").json == {"jobs": [], "oldest": None, "processes": []}
    database = Database(sqlite_database)
    processes = Processes(database)
    worker, scheduler = processes.register("worker", ["guard"]), processes.register("scheduler")
    Leadership(database, "scheduler", scheduler, 60.0).campaign()
    told = run("status", "--json").json["processes"]
    assert {process["id"]: process["leads"] for process in told} == {worker: False, scheduler: True}
    assert worker in run("status").out
    database.close()


def test_models_shows_prices_limits_and_what_is_missing(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    deployments = {entry["id"]: entry for entry in run("models", "--json").json["deployments"]}
    openai = [entry for name, entry in deployments.items() if name.startswith("openai/") and name.endswith("@us")]
    assert openai
    assert all(entry["usable"] and entry["price"]["input"] and entry["context_window"] for entry in openai)
    google = next(entry for name, entry in deployments.items() if name.startswith("google/"))
    assert "GOOGLE_API_KEY" in google["why_not"]
    lines = run("models").out.splitlines()
    assert len(lines) == len(deployments) + 1
    assert "\x1b" not in "".join(lines)
