"""`synthralos policies`: checked, stored, versioned, rolled back and removed."""

import json
from pathlib import Path

import pytest

from synthralos.config.settings import Settings
from tests.fakes.commands import Command, in_process

RULES = """
name = "short prompts"
[[rules]]
id = "long"
when = { field = "prompt_tokens", op = "gt", value = 10 }
then = [{ action = "deny", reason = "too long" }]
"""


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_database: str, tmp_path: Path
) -> Command:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", sqlite_database)
    monkeypatch.chdir(tmp_path)
    Path("short.toml").write_text(RULES, encoding="utf-8")
    command = in_process(monkeypatch, capsys)
    command("migrate")
    return command


def test_a_set_is_checked_stored_changed_rolled_back_and_removed(run: Command) -> None:
    assert "1 rules, nothing is wrong" in run("policies", "check", "short.toml").out
    first = run("policies", "set", "short.toml", "--organization", "acme", "--json").json
    assert (first["version"], first["organization"], first["name"]) == (1, "acme", "short prompts")
    Path("renamed.json").write_text(json.dumps({**first_document(first), "name": "renamed"}), encoding="utf-8")
    second = run("policies", "set", "renamed.json", "--id", first["id"], "--if-version", "1", "--json").json
    assert (second["version"], second["name"], second["organization"]) == (2, "renamed", "acme")
    stale = run("policies", "set", "short.toml", "--id", first["id"], "--if-version", "1")
    assert (stale.code, "version 2" in stale.err) != (0, True)
    assert "version 2" in stale.err
    assert "renamed" in run("policies", "list").out
    back = run("policies", "rollback", first["id"], "1", "--json").json
    assert (back["version"], back["name"]) == (3, "short prompts")
    assert run("policies", "show", first["id"], "--json").json == back
    assert run("policies", "remove", first["id"], "--reason", "over").code == 0
    listed = run("policies", "versions", first["id"], "--json").json["versions"]
    assert (listed[0]["version"], listed[0]["reason"]) == (4, "over")
    assert run("policies", "list", "--json").json == {"policies": []}
    acts = [change["act"] for change in run("audit", "--subject", "policy:*", "--json").json["changes"]]
    assert acts == ["policies.remove", "policies.change", "policies.change", "policies.create"]


def first_document(policy: dict[str, object]) -> dict[str, object]:
    """What people write of a set."""
    return {name: policy[name] for name in ("name", "rules", "priority", "enabled", "shadow", "share")}


def test_a_mistake_is_told_with_its_place_and_nothing_is_stored(run: Command) -> None:
    Path("wrong.toml").write_text(RULES.replace("prompt_tokens", "promt_tokens"), encoding="utf-8")
    for command in (("check", "wrong.toml"), ("set", "wrong.toml")):
        done = run("policies", *command)
        assert done.code != 0
        assert "rules[0].when.field" in done.err
        assert "did you mean prompt_tokens?" in done.err
    assert run("policies", "list", "--json").json == {"policies": []}


def test_what_is_not_there_is_told(run: Command) -> None:
    for command in (("show", "nonsense"), ("remove", "nonsense"), ("versions", "nonsense"), ("rollback", "x", "1")):
        done = run("policies", *command)
        assert (done.code != 0, "there is no policy set" in done.err) == (True, True)
