"""Validators that need no hub and no network. Their reasons repeat nothing of the text that they looked at.

Regular expressions and word lists have `PATTERN_SECONDS` for a text, and JSON `MOST_JSON` characters: what cannot be
looked at within that fails.
"""

import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import regex
from guardrails.validator_base import FailResult, PassResult, ValidationResult, Validator, register_validator
from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.protocols import Validator as SchemaValidator
from jsonschema.validators import extend, validator_for
from referencing import Registry

PATTERN_SECONDS = 1.0
MOST_JSON = 1_000_000
REMOVED = "[removed]"

_TOO_LONG = "could not be searched in time: shorten it"
_INVISIBLE = regex.compile(r"\p{Cf}")


def _counted(value: object, name: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}")
    return value


def _pattern(pattern: object) -> Any:
    try:
        return regex.compile(pattern)
    except (regex.error, TypeError) as error:
        raise ValueError(f"pattern is no regular expression: {error}") from None


def _found(pattern: Any, text: str) -> bool:
    """Whether it matches anywhere; raises `TimeoutError`. Other requests go on meanwhile."""
    return pattern.search(text, timeout=PATTERN_SECONDS, concurrent=True) is not None


@register_validator(name="synthralos/length", data_type="string")
class Length(Validator):
    """A text has from `least` to `most` characters; `fix` cuts it."""

    def __init__(self, least: int = 0, most: int | None = None, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, least=least, most=most)
        self._least = _counted(least, "least", 0)
        self._most = None if most is None else _counted(most, "most", self._least)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        if len(value) < self._least:
            return FailResult(error_message=f"has {len(value)} characters, fewer than {self._least}")
        if self._most is not None and len(value) > self._most:
            why = f"has {len(value)} characters, more than {self._most}"
            return FailResult(error_message=why, fix_value=value[: self._most])
        return PassResult()


@register_validator(name="synthralos/matches", data_type="string")
class Matches(Validator):
    """A text matches a regular expression somewhere."""

    def __init__(self, pattern: str, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, pattern=pattern)
        self._pattern = _pattern(pattern)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        try:
            found = _found(self._pattern, value)
        except TimeoutError:
            return FailResult(error_message=_TOO_LONG)
        return PassResult() if found else FailResult(error_message="does not match the pattern that is asked for")


@register_validator(name="synthralos/matches_not", data_type="string")
class MatchesNot(Validator):
    """A text matches a regular expression nowhere; `fix` takes out what matches."""

    def __init__(self, pattern: str, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, pattern=pattern)
        self._pattern = _pattern(pattern)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        try:
            if not _found(self._pattern, value):
                return PassResult()
            fixed = self._pattern.sub(REMOVED, value, timeout=PATTERN_SECONDS, concurrent=True)
        except TimeoutError:
            return FailResult(error_message=_TOO_LONG)
        return FailResult(error_message="matches a pattern that is not allowed", fix_value=fixed)


class _Words(Validator):
    """No word or phrase of a list is in the text, whatever its case, look-alike forms and invisible characters."""

    said = ""

    def _list(self, words: object) -> None:
        if (
            not isinstance(words, list)
            or not words
            or not all(isinstance(word, str) and word.strip() for word in words)
        ):
            raise ValueError("the list must hold words, and at least one")
        self._known = {_folded(word): word for word in words}
        # The list is matched as a whole, so its length costs next to nothing.
        self._pattern = regex.compile(r"(?<!\w)\L<words>(?!\w)", words=list(self._known))
        self._written = regex.compile(r"(?<!\w)\L<words>(?!\w)", regex.IGNORECASE, words=words)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        try:
            found = self._pattern.search(_folded(value), timeout=PATTERN_SECONDS, concurrent=True)
            if found is None:
                return PassResult()
            fixed = self._written.sub(REMOVED, value, timeout=PATTERN_SECONDS, concurrent=True)
            clean = not _found(self._pattern, _folded(fixed))
        except TimeoutError:
            return FailResult(error_message=_TOO_LONG)
        return FailResult(error_message=f"{self.said} {self._known[found[0]]!r}", fix_value=fixed if clean else None)


def _folded(text: str) -> str:
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(visible.casefold().split())


@register_validator(name="synthralos/banned_words", data_type="string")
class BannedWords(_Words):
    """None of `words` is in the text; `fix` takes them out."""

    said = "holds the banned word"

    def __init__(self, words: Sequence[str], on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, words=words)
        self._list(words)


@register_validator(name="synthralos/competitors", data_type="string")
class Competitors(_Words):
    """None of `names` is in the text; `fix` takes them out."""

    said = "names the competitor"

    def __init__(self, names: Sequence[str], on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, names=names)
        self._list(names)


def _parsed(text: str) -> Any:
    """The text's JSON value; raises `ValueError` with what is wrong."""
    if len(text) > MOST_JSON:
        raise ValueError(f"has more than {MOST_JSON} characters, too many to be read as JSON")
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("is nested too deeply to be read as JSON") from None


def _no_constant(_: str) -> None:
    raise ValueError("is no JSON: it has no infinite numbers, and nothing that is no number")


@register_validator(name="synthralos/json", data_type="string")
class ValidJson(Validator):
    """A text is one JSON value."""

    def __init__(self, on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        try:
            _parsed(value)
        except ValueError as error:
            return FailResult(error_message=str(error))
        return PassResult()


@register_validator(name="synthralos/json_schema", data_type="string")
class JsonSchema(Validator):
    """A text is a JSON value that fits `schema` (2020-12, unless `$schema` says otherwise)."""

    def __init__(self, schema: dict[str, Any], on_fail: Any = None) -> None:
        super().__init__(on_fail=on_fail, schema=schema)
        self._schema = _schema_validator(schema)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        try:
            error = next(self._schema.iter_errors(_parsed(value)), None)
        except (ValueError, TimeoutError) as problem:
            return FailResult(error_message=str(problem) or _TOO_LONG)
        except RecursionError:
            return FailResult(error_message="is nested too deeply to be held against the schema")
        if error is None:
            return PassResult()
        path = "/".join("*" if isinstance(step, str) else str(step) for step in error.absolute_path)
        return FailResult(error_message=f"does not fit the schema at /{path}: {error.validator}")


def _schema_validator(schema: Any) -> SchemaValidator:
    if not isinstance(schema, dict):
        raise ValueError("schema must be a table")
    for key, value in _members(schema):
        if key == "patternProperties":
            raise ValueError("schema has patternProperties, which no time limit holds for: use pattern, propertyNames")
        if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
            raise ValueError(f"schema refers to another document with its {key}: put that one into it")
        if key == "pattern" and isinstance(value, str):
            _pattern(value)
    kind = extend(validator_for(schema, Draft202012Validator), {"pattern": _bounded_pattern})
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"schema is no JSON Schema: {error.message}") from None
    # The registry that is used without this one fetches what a schema refers to.
    return kind(schema, registry=Registry())


def _members(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every object within."""
    if isinstance(schema, dict):
        yield from schema.items()
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _members(part)


def _bounded_pattern(_: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _found(_pattern(pattern), value):
        yield ValidationError("does not match")


BUILT_IN: dict[str, Callable[..., Validator]] = {
    "length": Length,
    "matches": Matches,
    "matches_not": MatchesNot,
    "banned_words": BannedWords,
    "competitors": Competitors,
    "json": ValidJson,
    "json_schema": JsonSchema,
}
"""By the names that the configuration uses."""
