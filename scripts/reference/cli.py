"""The page of the command line, from the command itself."""

from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from cli.exits import MEANINGS
from cli.main import app
from scripts.reference.markdown import page, table

_ABOUT = (
    "`synthralos COMMAND --help` says the same. `--json` before or after any command gives JSON on standard output. "
    "Commands about jobs speak to the API (`SYNTHRALOS_URL`, `SYNTHRALOS_API_KEY`), those of operators to the database "
    "(`DATABASE_URL`)."
)


def cli_page() -> str:
    """All commands, and the exit codes."""
    exits = table(["code", "meaning"], [[str(code.value), meaning] for code, meaning in MEANINGS.items()])
    return page("Command line", _ABOUT, *_commands(get_command(app), "synthralos"), "## Exit codes", exits)


def _commands(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for word, part in command.commands.items():
            yield from _commands(part, f"{name} {word}")
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    yield f"## {' '.join([name, *(each.metavar or each.name.upper() for each in arguments)])}"
    yield (command.help or "").strip()
    rows = [[_names(each), each.help or "", _default(each)] for each in options]
    yield table(["option", "about", "default"], rows) if rows else ""


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _default(option: Any) -> str:
    value = option.default
    return "" if value in (None, False, "", ()) or callable(value) else f"`{value}`"
