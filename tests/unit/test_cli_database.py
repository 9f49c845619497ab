"""The commands that work on the database itself: migrate, keys, check; and how wrong settings end."""

import io
from pathlib import Path

import pytest

from migrations.schema import head
from synthralos.domain.permissions import Role
from synthralos.store.admin.keys import Keys
from synthralos.store.admin.processes import Processes
from synthralos.store.sql.database import Database
from tests.fakes.commands import SETTINGS, Command, in_process


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_database: str) -> Command:
    for name in (*SETTINGS, "SYNTHRALOS_URL", "SYNTHRALOS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", sqlite_database)
    return in_process(monkeypatch, capsys)


@pytest.fixture
def migrated(run: Command) -> Command:
    assert run("migrate").code == 0
    return run


def test_the_schema_goes_up_and_down_and_says_where_it_is(run: Command) -> None:
    assert run("--json", "migrate", "current").json == {
        "revision": None, "newest": head(), "schema": "outdated",
    }  # fmt: skip
    assert run("--json", "migrate").json["revision"] == head()
    assert run("--json", "migrate", "up", "--to", head()).json["revision"] == head()
    assert run("--json", "migrate", "down", "--to", "base", "--yes").json["revision"] is None


def test_going_down_asks_first(migrated: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert migrated("migrate", "down", "--to", "base").code != 0
    assert migrated("--json", "migrate", "current").json["revision"] == head()


def test_a_revision_that_does_not_exist_is_told_in_one_line(migrated: Command) -> None:
    done = migrated("migrate", "up", "--to", "m9999")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_another_database_may_be_named(run: Command, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert run("migrate", "--database-url", other).code == 0
    assert run("--json", "migrate", "current", "--database-url", other).json["revision"] == head()
    assert run("--json", "migrate", "--database-url", other, "current").json["revision"] == head()
    assert run("--json", "migrate", "current").json["revision"] is None


def test_a_key_is_shown_once_and_can_be_revoked(migrated: Command, sqlite_database: str) -> None:
    created = migrated("--json", "keys", "create", "--name", "billing", "--role", "operator").json
    listed = migrated("--json", "keys", "list").json["keys"]
    assert [key["name"] for key in listed] == ["billing"]
    assert "key" not in listed[0]
    database = Database(sqlite_database)
    found = Keys(database).find(created["key"])
    assert found is not None
    assert found.role is Role.OPERATOR
    assert migrated("keys", "revoke", created["prefix"]).code == 0
    assert migrated("--json", "keys", "list").json["keys"][0]["revoked_at"]
    assert migrated("keys", "revoke", created["prefix"]).code == 5
    database.close()


def test_the_key_alone_is_on_standard_output(migrated: Command) -> None:
    done = migrated("keys", "create")
    assert done.out.strip().startswith("sk-syn-")
    assert len(done.out.split()) == 1


def test_a_key_is_bound_to_its_organization_workspace_and_plan(migrated: Command) -> None:
    scope = ("--organization", "acme", "--workspace", "web", "--user", "ana", "--plan", "pro")
    key = migrated("--json", "keys", "create", *scope).json
    assert (key["organization"], key["workspace"], key["user"], key["plan"]) == ("acme", "web", "ana", "pro")
    migrated("keys", "create")
    assert len(migrated("--json", "keys", "list", "--organization", "acme").json["keys"]) == 1


def test_a_workspace_without_an_organization_is_a_wrong_argument(migrated: Command) -> None:
    assert migrated("keys", "create", "--workspace", "web").code == 2


def test_a_database_without_our_schema_names_the_remedy(run: Command) -> None:
    done = run("keys", "list")
    assert done.code == 3
    assert "migrate" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_process_is_alive_while_its_heartbeat_is_fresh(migrated: Command, sqlite_database: str) -> None:
    assert migrated("check", "worker").code == 1
    database = Database(sqlite_database)
    processes = Processes(database)
    process_id = processes.register("worker")
    assert migrated("check", "worker").code == 0
    assert migrated("--json", "check", "worker").json["processes"][0]["id"] == process_id
    assert migrated("check", "scheduler").code == 1
    processes.mark(process_id, "stopped")
    assert migrated("check", "worker").code == 1
    database.close()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://x/y", ["keys", "list"]),
        ("PORT", "eighty", ["up"]),
        ("BROKER_URL", "memory://", ["worker"]),
        ("CATALOG_FILE", "/nowhere/catalog.toml", ["up"]),
        ("ABUSE_PATTERNS", "/nowhere/patterns.toml", ["up"]),
    ],
)
def test_a_wrong_setting_ends_with_3_and_is_named(
    run: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: list[str]
) -> None:
    monkeypatch.setenv(name, value)
    done = run(*words)
    assert done.code == 3
    assert name in done.err or value in done.err
    assert len(done.err.splitlines()) == 1


def test_a_database_that_cannot_be_opened_ends_with_4(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("sqlite:////nowhere/at/all.db", "postgresql://nobody@127.0.0.1:1/none"):
        monkeypatch.setenv("DATABASE_URL", url)
        done = run("keys", "list")
        assert done.code == 4
        assert len(done.err.splitlines()) == 1


def test_a_key_is_rotated_and_expires(migrated: Command) -> None:
    scope = ("--organization", "acme", "--plan", "pro", "--expires-in-days", "30")
    old = migrated("--json", "keys", "create", *scope).json
    new = migrated("--json", "keys", "rotate", old["prefix"]).json
    assert (new["organization"], new["plan"], new["role"]) == ("acme", "pro", "service")
    assert new["expires_at"] > old["expires_at"]
    assert new["key"] != old["key"]
    refused = migrated("keys", "rotate", "sk-syn-nobody")
    assert refused.code == 5
    assert "no living key is called sk-syn-nobody" in refused.err


def test_organizations_are_put_on_plans(migrated: Command) -> None:
    assert migrated("organizations", "set", "acme", "--plan", "enterprise").out.strip() == "acme is on enterprise"
    [found] = migrated("--json", "organizations", "list").json["organizations"]
    assert (found["name"], found["plan"]) == ("acme", "enterprise")
    assert migrated("organizations", "set", "acme", "--plan", "gold").code != 0
