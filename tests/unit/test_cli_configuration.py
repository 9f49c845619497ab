"""`synthralos flags`, `limits`, `deployments`, `audit` and what `models` makes of them."""

import json
from pathlib import Path

import pytest

from synthralos.config.settings import Settings
from synthralos.domain.flags import Flag
from tests.fakes.commands import Command, in_process

ENTRY = {"context_window": 9_000, "max_output": 500, "price": {"input": "1.5", "output": "2", "as_of": "2026-01-01"}}
NEW = "sandbox/new@eu"


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_database: str, tmp_path: Path
) -> Command:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", sqlite_database)
    monkeypatch.chdir(tmp_path)
    command = in_process(monkeypatch, capsys)
    command("migrate")
    return command


def test_flags_are_set_for_a_share_and_reset(run: Command) -> None:
    assert [flag["name"] for flag in run("flags", "list", "--json").json["flags"]] == list(Flag)
    set_to = run("flags", "set", "track_model_costs", "on", "--percentage", "30", "--reason", "trial", "--json").json
    assert (set_to["enabled"], set_to["percentage"], set_to["source"]) == (True, 30, "database")
    assert "on for 30 %" in run("flags", "list", "--organization", "acme").out
    assert run("flags", "reset", "track_model_costs").out.strip() == "track_model_costs is on (default)"
    last, first = run("audit", "--subject", "flag:*", "--json").json["changes"]
    assert (first["act"], first["reason"], last["act"]) == ("flags.set", "trial", "flags.reset")
    assert first["actor"].startswith("cli:")


def test_the_environment_is_named_where_it_decides(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACK_MODEL_COSTS", "on")
    assert run("flags", "set", "track_model_costs", "off").out.strip() == "track_model_costs is on (environment)"


def test_a_misspelt_flag_is_told_with_the_near_one(run: Command) -> None:
    done = run("flags", "set", "track_model_cost", "off")
    assert (done.code, "did you mean track_model_costs?" in done.err) == (2, True)


def test_limits_are_set_and_reset(run: Command) -> None:
    free = run("limits", "set", "free", "--prompt-tokens", "1234", "--json").json["limits"][0]
    assert (free["plan"], free["prompt_tokens"], free["prompt_characters"]) == ("free", 1234, 160_000)
    assert "1,234" in run("limits", "list").out
    assert run("limits", "reset", "free", "--json").json["limits"][0]["prompt_tokens"] == 32_000
    assert run("limits", "set", "free").code == 2


def test_rates_are_set_replaced_and_taken_away(run: Command) -> None:
    asked = ["--rate", "user:requests:60/minute", "--rate", "organization:tokens:2_000_000/day"]
    free = run("limits", "set", "free", *asked, "--max-wait", "90", "--json").json["limits"][0]
    assert free["rates"] == [
        {"per": "user", "unit": "requests", "window": "minute", "limit": 60},
        {"per": "organization", "unit": "tokens", "window": "day", "limit": 2_000_000},
    ]
    assert free["max_wait_seconds"] == 90
    assert "user:requests:60/minute" in run("limits", "list").out
    assert run("limits", "set", "free", "--rate", "none", "--json").json["limits"][0]["rates"] == []


@pytest.mark.parametrize(
    "rate",
    ["60/minute", "user:requests:0/minute", "user:requests:60/week", "none:x:1/day", "", "user:requests:6_/minute"],
)
def test_a_wrong_rate_is_told_with_a_right_one(run: Command, rate: str) -> None:
    done = run("limits", "set", "free", "--rate", rate)
    assert (done.code, "user:requests:60/minute" in done.err) == (2, True)
    twice = ["--rate", "user:requests:6/minute", "--rate", "user:requests:7/minute"]
    assert run("limits", "set", "free", *twice).code == 2


def test_an_organization_gets_limits_of_its_own(run: Command) -> None:
    rate = ["--rate", "organization:requests:5/second"]
    [acme] = run("limits", "set", "--organization", "acme", *rate, "--json").json["organizations"]
    assert (acme["organization"], acme["rates"][0]["limit"]) == ("acme", 5)
    assert "organization acme" in run("limits", "list").out
    assert run("limits", "reset", "--organization", "acme", "--json").json["organizations"] == []
    assert run("limits", "set", *rate).code == run("limits", "set", "free", "--organization", "acme", *rate).code == 2


def test_weights_of_workspaces_are_set_and_taken_back(run: Command) -> None:
    asked = ["--workspace-weight", "live=4", "--workspace-weight", "a=b=2"]
    [acme] = run("limits", "set", "--organization", "acme", *asked, "--json").json["organizations"]
    assert acme["workspace_weights"] == {"live": 4, "a=b": 2}
    assert "live=4" in run("limits", "list").out
    none = ("--workspace-weight", "none")
    [acme] = run("limits", "set", "--organization", "acme", *none, "--json").json["organizations"]
    assert acme["workspace_weights"] == {}


@pytest.mark.parametrize("word", ["live", "live=", "=4", "live=0", "live=1001", "live=x"])
def test_what_is_no_weight_is_refused_with_an_example(run: Command, word: str) -> None:
    done = run("limits", "set", "--organization", "acme", "--workspace-weight", word)
    assert done.code == 2
    assert "live=4" in done.err


@pytest.mark.parametrize("form", ["json", "toml"])
def test_deployments_are_added_and_removed(run: Command, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"entry.{form}"
    price = 'price = { input = "1.5", output = "2", as_of = "2026-01-01" }'
    toml = f"context_window = 9000\nmax_output = 500\n{price}\n"
    file.write_text(json.dumps(ENTRY) if form == "json" else toml)
    assert run("deployments", "set", NEW, "-f", str(file)).code == 0
    models = {each["id"]: each for each in run("models", "--json").json["deployments"]}
    assert (models[NEW]["context_window"], models[NEW]["price"]["input"]) == (9_000, "1.5")
    assert run("deployments", "remove", NEW).code == 0
    assert NEW not in run("models").out
    assert run("deployments", "remove", NEW).code == 5


def test_aliases_are_set_listed_and_deleted(run: Command, tmp_path: Path) -> None:
    assert run("aliases", "set", "mine", "sandbox/small", "tier:economy").code == 0
    [found] = [each for each in run("aliases", "list", "--json").json["aliases"] if each["name"] == "mine"]
    assert (found["targets"], found["source"]) == (["sandbox/small", "tier:economy"], "database")
    assert "sandbox/small@us" in run("aliases", "list").out
    assert run("aliases", "set", "mine", "auto-magic").code == 5
    refused = run("aliases", "set", "yours", "sandbox/smal")
    assert (refused.code, "targets[0]" in refused.err, "sandbox/small" in refused.err) == (5, True, True)
    assert run("aliases", "delete", "mine", "--if-version", "99").code == 5
    assert run("aliases", "delete", "mine", "--if-version", str(found["version"])).code == 0
    assert run("aliases", "delete", "mine").code == 5


def test_a_deployment_that_an_alias_stands_for_is_kept(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "entry.json"
    file.write_text(json.dumps({name: value for name, value in ENTRY.items() if name != "price"}))
    assert "price: unknown" in run("deployments", "set", NEW, "-f", str(file)).err
    run("aliases", "set", "mine", NEW)
    refused = run("deployments", "remove", NEW)
    assert (refused.code, "mine" in refused.err) == (5, True)


def test_wrong_entries_are_one_line_that_names_the_field(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "entry.json"
    file.write_text(json.dumps({**ENTRY, "max_output": 10_000}))
    done = run("deployments", "set", NEW, "-f", str(file))
    assert (done.code, len(done.err.splitlines()), "max_output" in done.err) == (3, 1, True)
    file.write_text("{]")
    assert run("deployments", "set", NEW, "-f", str(file)).code == 2
    assert run("audit", "--json").json == {"changes": []}


def test_looking_at_models_makes_no_database(run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    assert run("models").code == 0
    assert not (tmp_path / "none.db").exists()


def test_keys_and_plans_of_the_command_line_are_on_record(run: Command) -> None:
    secret = run("keys", "create", "--name", "ci", "--organization", "acme", "--json").json["key"]
    run("organizations", "set", "acme", "--plan", "pro")
    run("keys", "revoke", secret[:15])
    whole = run("audit", "--json")
    assert [c["act"] for c in whole.json["changes"]] == ["keys.revoke", "organizations.set_plan", "keys.create"]
    assert secret not in whole.out
    assert "organizations.set_plan" in run("audit", "--organization", "acme").out


@pytest.mark.parametrize("option", ["organization", "workspace", "user"])
@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_scope_is_refused_by_its_option(run: Command, option: str, blank: str) -> None:
    others = {"organization": [], "workspace": ["--organization", "a"], "user": ["--organization", "a"]}[option]
    done = run("keys", "create", *others, f"--{option}", blank)
    assert (done.code, f"--{option} is blank" in done.err) == (2, True)
    assert run("keys", "list", "--json").json["keys"] == []
    assert run("organizations", "set", blank, "--plan", "pro").code == 2


def test_an_organizations_times_are_set_shown_and_reset(run: Command) -> None:
    days = {
        each["kind"]: each for each in run("retention", "set", "acme", "payloads=0", "jobs=30", "--json").json["kept"]
    }
    assert (days["payloads"]["days"], days["payloads"]["own"], days["audit"]["own"]) == (0, True, False)
    assert "its own" in run("retention", "show", "acme").out
    assert "its own" not in run("retention", "show").out
    assert run("retention", "set", "acme", "payloads=400").code == 5
    assert run("retention", "set", "acme", "firings=3").code == 2
    assert run("retention", "set", "acme", "jobs=soon").code == 2
    assert "its own" not in run("retention", "reset", "acme").out
    assert [each["act"] for each in run("audit", "--json").json["changes"]][:2] == [
        "organizations.reset_retention",
        "organizations.set_retention",
    ]


def test_a_run_of_retention_tells_what_it_removes(run: Command) -> None:
    assert set(run("retention", "run", "--dry-run", "--json").json["removed"].values()) == {0}
    assert run("retention", "run", "--json").json["dry_run"] is False
