"""The file of abuse patterns: read from TOML and checked to the last field; a wrong entry raises `PatternsError`.

The form of the file is explained at the top of `abuse_patterns.toml`, the built-in one.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthralos.config.settings import SettingsError
from synthralos.domain.abuse_patterns import EVERYONE, Pattern

Patterns = Mapping[str, tuple[Pattern, ...]]
"""By organization; those of `EVERYONE` are for all."""

THRESHOLD = 0.45
"""Of a pattern that names none."""

MOST, MOST_EACH = 20_000, 500
"""Patterns of a file, and of one organization or everyone in it."""

_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class PatternsError(SettingsError):
    """The patterns cannot be used. The message is one line: which file, which entry, which field, and why."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: _Word
    kind: _Word = "custom"
    text: str = Field(min_length=12, max_length=300)
    threshold: float = Field(THRESHOLD, ge=0.3, le=1)
    organization: str = Field(EVERYONE, min_length=1, max_length=200)


@cache
def built_in_patterns() -> Patterns:
    """Those that are shipped."""
    source = resources.files("synthralos.config").joinpath("abuse_patterns.toml")
    return _patterns(source.read_text(encoding="utf-8"), "built-in abuse_patterns.toml")


def read_patterns(path: Path | None) -> Patterns:
    """The patterns that are shipped, and those of the TOML file at `path`; raises `PatternsError`."""
    shipped = built_in_patterns()
    if path is None:
        return shipped
    name = f"ABUSE_PATTERNS: {path}"
    try:
        own = _patterns(path.read_text(encoding="utf-8"), name)
    except OSError as error:
        raise PatternsError(f"{name}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise PatternsError(f"{name}: is not UTF-8 text") from None
    return {**own, EVERYONE: (*shipped.get(EVERYONE, ()), *own.get(EVERYONE, ()))}


def _patterns(text: str, name: str) -> Patterns:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PatternsError(f"{name}: is not TOML: {error}") from None
    if unknown := sorted(set(data) - {"pattern"}):
        raise PatternsError(f"{name}: {unknown[0]}: unknown key; the file has [[pattern]] entries")
    entries = data.get("pattern", [])
    if not isinstance(entries, list):
        raise PatternsError(f"{name}: pattern: must be one or more [[pattern]] entries")
    if len(entries) > MOST:
        raise PatternsError(f"{name}: has {len(entries)} entries, {MOST} at most")
    found: dict[str, list[Pattern]] = {}
    for number, value in enumerate(entries, 1):
        entry = _checked(value, f"{name}: pattern {number}")
        mine = found.setdefault(entry.organization, [])
        if len(mine) == MOST_EACH:
            raise PatternsError(
                f"{name}: pattern {number} ({entry.name!r}): organization: {entry.organization} has {MOST_EACH} already"
            )
        mine.append(Pattern(entry.name, entry.kind, entry.text, entry.threshold))
    return {organization: tuple(patterns) for organization, patterns in found.items()}


def _checked(value: object, where: str) -> _Entry:
    try:
        return _Entry.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        named = value.get("name") if isinstance(value, dict) else None
        field = ".".join(map(str, first["loc"])) or "entry"
        reason = {"missing": "is missing", "extra_forbidden": "unknown key"}.get(first["type"], first["msg"])
        called = f" ({named!r})" if isinstance(named, str) else ""
        raise PatternsError(f"{where}{called}: {field}: {reason}") from None
