"""`synthralos policies`: checked, stored, versioned, rolled back and removed."""

import json
from pathlib import Path

import pytest

from synthralos.config.settings import Settings
from synthralos.store.sql.database import Database
from tests.fakes.commands import Command, in_process
from tests.fakes.jobs import new_job
from tests.fakes.stores import Store

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
    assert "1 rule, 0 warnings" in run("policies", "check", "short.toml").out
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


def test_what_may_not_be_meant_is_told_and_has_to_be_forced(run: Command) -> None:
    everything = {"name": "all", "rules": [{"id": "all", "then": [{"action": "deny", "reason": "no"}]}]}
    Path("all.json").write_text(json.dumps(everything), encoding="utf-8")
    checked = run("policies", "check", "all.json", "--json")
    assert [each["kind"] for each in checked.json["warnings"]] == ["denies_everything"]
    assert "rules[0]" in checked.err
    for looked in (
        run("policies", "lint", "all.json", "--json"),
        run("policies", "lint", "all.json", "--offline", "--json"),
    ):
        assert (looked.code, looked.json["publishable"]) == (1, False)
    assert run("policies", "lint", "short.toml").code == 0
    refused = run("policies", "set", "all.json")
    assert (refused.code, "--force" in refused.err) == (5, True)
    made = run("policies", "set", "all.json", "--force", "--json").json
    [change] = run("audit", "--subject", f"policy:{made['id']}", "--json").json["changes"]
    assert change["after"]["forced"] == ["denies_everything"]
    fine = run("policies", "set", "short.toml", "--id", made["id"], "--json").json
    assert fine["version"] == 2
    assert run("policies", "rollback", made["id"], "1").code == 5
    assert run("policies", "rollback", made["id"], "1", "--force", "--json").json["version"] == 3


def test_versions_are_compared_and_coverage_is_told(run: Command) -> None:
    made = run("policies", "set", "short.toml", "--json").json
    Path("two.toml").write_text(RULES.replace("10", "20").replace("short", "long"), encoding="utf-8")
    run("policies", "set", "two.toml", "--id", made["id"])
    told = run("policies", "diff", made["id"], "2").out
    assert "~ rules[0].when.value: 10 → 20 (long)" in told
    assert '~ name: "short prompts" → "long prompts"' in told
    assert run("policies", "diff", made["id"], "2", "2").out.strip() == "they are the same"
    assert run("policies", "diff", made["id"], "1", "2", "--json").json["members"][0]["after"] == "short prompts"
    assert run("policies", "diff", made["id"], "7").code == 2
    [rule] = run("policies", "coverage", made["id"], "--json").json["rules"]
    assert (rule["rule"], rule["matches"], rule["last_matched_at"], rule["idle"]) == ("long", 0, None, False)


def test_a_draft_and_a_stored_version_are_simulated_on_recorded_jobs(run: Command, sqlite_database: str) -> None:
    database = Database(sqlite_database)
    try:
        store = Store(database)
        long, short = store.submit(new_job("word " * 50), new_job("hi"))
    finally:
        database.close()
    report = run("policies", "simulate", "short.toml", "--json").json
    assert {(each["before"], each["after"]): each["sample_job_ids"] for each in report["decisions"]} == {
        ("allow", "allow"): [short],
        ("allow", "deny"): [long],
    }
    made = run("policies", "set", "short.toml", "--json").json
    stored = run("policies", "simulate", "--id", made["id"], "--version", "1", "--last", "1")
    assert "1 jobs" in stored.out
    assert run("policies", "simulate").code == 2
    assert run("policies", "simulate", "short.toml", "--version", "1").code == 2
    assert run("policies", "simulate", "short.toml", "--since", "2026-01-02", "--until", "2026-01-01").code == 2
