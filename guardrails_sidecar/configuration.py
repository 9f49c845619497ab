"""The file that says which validators look at prompts (`input`) and at answers (`output`)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIDES: Mapping[str, tuple[str, ...]] = {
    "input": ("exception", "noop"),
    "output": ("exception", "reask", "fix", "noop"),
}
"""For each side, what a validator may do with what fails (guardrails' `on_fail`); the first is the default.

Prompts are not changed, so there is no `fix` for them. `filter` and `refrain` would leave an answer empty.
"""


class ConfigurationProblem(ValueError):
    """The file cannot be used; the message names the place in it, the problem and the remedy."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One validator: where it stands in the file, its name, what to do with what fails, and its arguments."""

    place: str
    validator: str
    on_fail: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


Wanteds = Mapping[str, tuple[Wanted, ...]]


def read(path: Path) -> Wanteds:
    """What the file wants for each side; raises `ConfigurationProblem`."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationProblem(f"{path}: {error.strerror}: name another file with GUARDRAILS_CONFIG") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationProblem(f"{path}: is no TOML: {error}") from None
    unknown = sorted(set(raw) - set(SIDES))
    if unknown:
        raise ConfigurationProblem(f"{path}: {unknown[0]}: is not known: write [[input]] or [[output]]")
    wanted = {side: _side(path, side, raw.get(side, [])) for side in SIDES}
    if not any(wanted.values()):
        raise ConfigurationProblem(f"{path}: names no validator: add one under [[input]] or [[output]]")
    return wanted


def _side(path: Path, side: str, entries: Any) -> tuple[Wanted, ...]:
    if not isinstance(entries, list):
        raise ConfigurationProblem(f"{path}: {side}: must be a list of tables: write [[{side}]] before each validator")
    return tuple(_wanted(f"{path}: {side}[{number}]", side, entry) for number, entry in enumerate(entries))


def _wanted(place: str, side: str, entry: Any) -> Wanted:
    name = entry.get("validator") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise ConfigurationProblem(f'{place}.validator: must name a validator, such as "length" or "module:Class"')
    choices = SIDES[side]
    on_fail = entry.get("on_fail", choices[0])
    if on_fail not in choices:
        raise ConfigurationProblem(f"{place}.on_fail: must be one of {', '.join(choices)} for {side}s")
    arguments = {key: value for key, value in entry.items() if key not in ("validator", "on_fail")}
    return Wanted(place, name, on_fail, arguments)
