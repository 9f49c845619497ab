"""What the command line says of what the API refuses: the reason, and a command that helps and that there is."""

import re

import pytest
from typer.main import get_command

from cli.errors import explain
from cli.exits import Exit
from cli.main import app
from synthralos_client import NotFound, PermissionDenied

THINGS = [
    "job", "wait point", "run", "trace", "schedule", "repair", "incident", "operation", "breaker", "webhook endpoint",
    "key", "budget",
]  # fmt: skip


def line(error: Exception) -> str:
    told = explain(error)
    assert told is not None
    assert told.code is Exit.REFUSED
    return told.line


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_not_there_is_looked_for_by_a_command_that_lists_such_things(thing: str) -> None:
    said = line(NotFound(404, {"detail": f"There is no such {thing}, or none that this key may see."}))
    [command] = re.findall(r"`synthralos ([^`]+)`", said)
    group, name, *_ = command.split()
    found = get_command(app).commands[group].commands[name]  # type: ignore[attr-defined]
    assert {option for option in command.split() if option.startswith("--")} <= {
        option for parameter in found.params for option in parameter.opts
    }
    assert group in {"jobs", "dead-letters"} or group.startswith(thing.split()[0])


@pytest.mark.parametrize(
    ("refused", "remedy"),
    [
        ("Only a key of the whole installation may see the demand of all tenants.", "without --organization"),
        ("Metrics are about all tenants: this needs a key that is bound to no organization.", "without --organization"),
        ("Changing flags needs the permission flags:write.", "--role"),
    ],
)
def test_a_refusal_says_which_key_would_do(refused: str, remedy: str) -> None:
    assert remedy in line(PermissionDenied(403, {"detail": refused}))
