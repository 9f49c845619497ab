"""Conditions in CEL, the Common Expression Language: for what native conditions cannot say, and slower.

Values cross into the evaluator once per job, and only those of the fields that an expression names.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipelines.policies.facts import NAMES, Facts
from pipelines.policies.fields import FIELDS
from pipelines.policies.problems import Unfit, shown

if TYPE_CHECKING:
    import cel

MOST_CHARACTERS = 500
"""Of an expression."""

_DEPTH = 16
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,")
_MAP = re.compile(r"\.\s*map\s*\(")
_TEXT = re.compile(r"""r?"(?:\\.|[^"\\])*"|r?'(?:\\.|[^'\\])*'""", re.DOTALL)
_OPERATOR = re.compile(r"[@_!\-]")
FUNCTIONS = frozenset(
    {"size", "contains", "startsWith", "endsWith", "int", "uint", "double", "string", "type", "timestamp", "duration"}
    | {"getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"}
    | {"getHours", "getMinutes", "getSeconds", "getMilliseconds"}
)
"""Those that an expression may call; each is bounded by the length of what it is given."""

_CONTEXT = "cel"


class NotTrueOrFalse(TypeError):
    """An expression has a value that is neither."""


def expression(text: str) -> tuple[Callable[[Facts], bool], tuple[str, ...]]:
    """What tells whether it holds for a job, and the fields that it reads. Raises `Unfit`.

    The function raises what the evaluator does (a null compared with a number …), and `NotTrueOrFalse`.
    """
    program = _compiled(text)
    names = _fields_of(program, text)
    execute = program.execute

    def holds(facts: Facts) -> bool:
        value = execute(_context(facts, names))
        if value is not True and value is not False:
            raise NotTrueOrFalse(f"the expression gives {type(value).__name__}, not true or false")
        return value

    return holds, names


def _compiled(text: str) -> "cel.Program":
    if len(text) > MOST_CHARACTERS:
        raise Unfit(f"has more than {MOST_CHARACTERS} characters", "shorten it, or use native conditions")
    if _depth(text) > _DEPTH:
        raise Unfit(f"is nested more than {_DEPTH} deep", "simplify it")
    import cel  # noqa: PLC0415 - it imports a command line of its own, and most installations have no expression

    try:
        return cel.compile(text)
    except ValueError as error:
        said = str(error).partition("ERROR: ")[2].splitlines() or ["the syntax is wrong"]
        raise Unfit(f"{shown(text)} is no CEL expression ({said[0][:100]})", "correct it") from None


def _depth(text: str) -> int:
    deepest = depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _fields_of(program: "cel.Program", text: str) -> tuple[str, ...]:
    loops = _LOOP.findall(_TEXT.sub('""', text))
    if _MAP.search(_TEXT.sub('""', text)):
        raise Unfit("makes a new list with map, whose size nothing bounds", "use all, exists or filter")
    if len(loops) > 1:
        raise Unfit("has more than one loop (all, exists, exists_one, filter)", "split it into several conditions")
    used = program.references()
    for name in used["functions"]:
        if name not in FUNCTIONS and not _OPERATOR.match(name):
            remedy = "use the condition matches" if name == "matches" else f"use one of {', '.join(sorted(FUNCTIONS))}"
            raise Unfit(f"calls {name:.80}, which rules may not call", remedy)
    names = [name for name in used["variables"] if name not in loops]
    for name in names:
        if name not in FIELDS:
            near = NAMES.near(name)
            raise Unfit(
                f"names {name:.80}, which is no field", f"did you mean {near[0]}?" if near else "see the fields"
            )
    return tuple(names)


def _context(facts: Facts, names: tuple[str, ...]) -> "cel.Context":
    """The evaluator's copy of the facts: one per job, to which each expression adds what it is the first to name."""
    kept: tuple[cel.Context, set[str]] | None = facts.kept.get(_CONTEXT)
    if kept is None:
        from cel import Context  # noqa: PLC0415 - there since the expression was compiled

        kept = facts.kept[_CONTEXT] = (Context(), set())
    context, known = kept
    for name in names:
        if name not in known:
            context.add_variable(name, _value(facts[name]))
            known.add(name)
    return context


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
