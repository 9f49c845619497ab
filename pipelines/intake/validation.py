"""From pydantic's errors to field errors: the path in what was sent, what is wrong, and what to do about it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from pipelines.intake.errors import MOST_ERRORS, FieldError, join

UnknownField = Callable[[Sequence[str | int]], str | None]
"""The remedy for the unknown field at a place, pydantic's `loc`; None where nothing comes near."""

_REMEDIES: Mapping[str, tuple[str, str]] = {
    "extra_forbidden": ("is not a known field", "remove it, or check its spelling"),
    "missing": ("is missing", "add it"),
    "string_type": ("must be a string", "send a string"),
    "bool_type": ("must be true or false", "send true or false"),
    "int_type": ("must be an integer", "send a whole number without quotes"),
    "int_parsing": ("must be an integer", "send a whole number"),
    "int_parsing_size": ("is too large a number", "send a smaller one"),
    "float_type": ("must be a number", "send a number without quotes"),
    "float_parsing": ("must be a number", "send a number"),
    "finite_number": ("must be a finite number", "send a finite number"),
    "list_type": ("must be an array", "send an array"),
    "dict_type": ("must be an object", "send an object"),
    "model_type": ("must be an object", "send an object"),
    "model_attributes_type": ("must be an object", "send an object"),
    "union_tag_not_found": ("must be an object with a type", "add its type"),
}
"""(problem, remedy) by pydantic's error type, where its own message would say too much or too little."""


def field_errors(
    errors: Sequence[ErrorDetails], data: Any, root: str, unknown: UnknownField = lambda loc: None
) -> list[FieldError]:
    """At most `MOST_ERRORS` errors, one per field, in the order of the fields.

    `data` is what was validated: it tells the members of the path from the names of union branches in it.
    `unknown` may know a remedy for a field that is not known.
    """
    found: dict[str, FieldError] = {}
    for error in errors:
        path = path_of(error["loc"], data, root, absent=error["type"] == "missing")
        described = _describe(path, error, unknown)
        earlier = found.get(path)
        if earlier is not None and earlier.problem != described.problem:
            described = FieldError(path, f"{earlier.problem}, or {described.problem}", described.remedy)
        found[path] = described
        if len(found) > 3 * MOST_ERRORS:
            break
    # A union reports every branch; the branch that got deepest is the one that was meant.
    return [e for path, e in found.items() if not any(_within(other, path) for other in found)][:MOST_ERRORS]


def path_of(loc: Sequence[str | int], data: Any, root: str, *, absent: bool) -> str:
    """The path in `data` that pydantic's `loc` leads to; `absent`: its last part is what is not there."""
    path, here = root, data
    for number, part in enumerate(loc):
        missing = absent and number == len(loc) - 1
        if isinstance(part, int) and isinstance(here, list) and part < len(here):
            path, here = join(path, part), here[part]
        elif isinstance(part, str) and isinstance(here, dict) and (part in here or missing):
            path, here = join(path, part), here.get(part)
    return path


def _within(other: str, path: str) -> bool:
    return other.startswith((f"{path}.", f"{path}["))


def _describe(path: str, error: ErrorDetails, unknown: UnknownField) -> FieldError:
    kind = error["type"]
    if kind == "extra_forbidden" and (remedy := unknown(error["loc"])) is not None:
        return FieldError(path, _REMEDIES[kind][0], remedy)
    if kind in _REMEDIES:
        return FieldError(path, *_REMEDIES[kind])
    if kind == "value_error":
        problem, _, remedy = str(error["ctx"]["error"]).partition(": ")
        return FieldError(path, problem, remedy or "send another value")
    return FieldError(path, *_of_limits(kind, error.get("ctx", {})))


def _of_limits(kind: str, ctx: Mapping[str, Any]) -> tuple[str, str]:
    """What the limits of the schema say; nothing of the value itself."""
    if kind in ("string_too_long", "too_long"):
        return f"is longer than {ctx['max_length']}", "shorten it"
    if kind in ("string_too_short", "too_short"):
        return "is empty" if ctx["min_length"] == 1 else f"is shorter than {ctx['min_length']}", "send more"
    if kind in ("literal_error", "enum"):
        return f"must be one of: {ctx['expected']}", "send one of these"
    if kind == "union_tag_invalid":
        return f"must have a type that is one of: {ctx['expected_tags']}", "send one of these"
    if kind == "string_pattern_mismatch":
        return "has characters that are not allowed here", f"it must match {ctx['pattern']}"
    bounds = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}
    if kind in bounds:
        bound = next(iter(ctx.values()))
        return f"must be {bounds[kind]} {bound}", "send a number within the limits"
    return "is not valid", "see /docs for what it may be"
