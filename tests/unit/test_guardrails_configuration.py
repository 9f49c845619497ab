"""The file of validators, and the environment in which they run, as far as neither needs guardrails-ai."""

import json
from pathlib import Path

import pytest

from cli.exits import Exit
from guardrails_sidecar import environment
from guardrails_sidecar.configuration import ConfigurationProblem, Wanted, read
from tests.fakes.commands import Command, in_process


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return in_process(monkeypatch, capsys)


def test_validators_are_read_in_their_order_with_their_arguments(tmp_path: Path) -> None:
    path = tmp_path / "guards.toml"
    path.write_text(
        '[[input]]\nvalidator = "length"\nmost = 5\n[[input]]\nvalidator = "mine:Odd"\non_fail = "noop"\n'
        '[[output]]\nvalidator = "json"\n[[output]]\nvalidator = "length"\non_fail = "fix"\nmost = 9\n'
    )
    assert read(path) == {
        "input": (
            Wanted(f"{path}: input[0]", "length", "exception", {"most": 5}),
            Wanted(f"{path}: input[1]", "mine:Odd", "noop", {}),
        ),
        "output": (
            Wanted(f"{path}: output[0]", "json", "exception", {}),
            Wanted(f"{path}: output[1]", "length", "fix", {"most": 9}),
        ),
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no validator"),
        ("x =", "TOML"),
        ("\xff", "TOML"),
        ('[[inputs]]\nvalidator = "length"', "inputs"),
        ('[input]\nvalidator = "length"', "[[input]]"),
        ("input = [1]", "input[0].validator"),
        ("[[input]]\nmost = 5", "input[0].validator"),
        ('[[input]]\nvalidator = "length"\non_fail = "fix"', "input[0].on_fail"),
        ('[[output]]\nvalidator = "length"\non_fail = "filter"', "output[0].on_fail"),
        ('[[output]]\nvalidator = "length"\non_fail = ["fix"]', "output[0].on_fail"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "guards.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationProblem) as problem:
        read(path)
    assert str(path) in str(problem.value)
    assert named in str(problem.value)


def test_the_command_wants_a_file_before_it_makes_anything(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GUARDRAILS_HOME", str(tmp_path / "home"))
    for told in ((), ("--config", str(tmp_path / "missing.toml"))):
        done = command("guardrails", *told)
        assert done.code == Exit.SETTING
        assert "GUARDRAILS_CONFIG" in done.err
    assert not (tmp_path / "home").exists()


def test_no_key_or_password_of_ours_reaches_the_sidecar(tmp_path: Path) -> None:
    around = {
        "PATH": "/bin", "LC_ALL": "C", "GUARDRAILS_TOKEN": "theirs", "OPENAI_API_KEY": "ours", "DATABASE_URL": "ours",
        "PYTHONPATH": "/ours", "VIRTUAL_ENV": "/ours", "HOME": "/ours", "OTEL_SDK_DISABLED": "false",
    }  # fmt: skip
    given = environment.start_environment(tmp_path, around)
    assert "ours" not in json.dumps(given)
    assert (given["GUARDRAILS_TOKEN"], given["LC_ALL"], given["OTEL_SDK_DISABLED"]) == ("theirs", "C", "true")


def test_the_environment_has_a_place_of_its_own_for_each_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment.place(tmp_path)
    assert before.parent == tmp_path
    assert environment.place(tmp_path) == before
    other = tmp_path / "other.lock"
    other.write_text(environment.LOCK.read_text() + "\n")
    monkeypatch.setattr(environment, "LOCK", other)
    assert environment.place(tmp_path) != before
