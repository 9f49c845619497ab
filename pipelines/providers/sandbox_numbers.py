"""A number within the bounds of a JSON Schema: the smallest that is allowed, or 1."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

_SAFE = 2**63


def number(schema: Mapping[str, Any], *, whole: bool, variant: int) -> float | int:
    """The `variant`th of the numbers that fit, from 0 on, as far as there are so many."""
    with localcontext() as context:
        context.prec = 700  # from the largest float to the smallest
        found = _number(schema, whole, variant)
    return int(found) if whole and -_SAFE <= found < _SAFE else float(found)


def _number(schema: Mapping[str, Any], whole: bool, variant: int) -> Decimal:
    lowest, highest = _bounds(schema, "minimum", "exclusiveMinimum"), _bounds(schema, "maximum", "exclusiveMaximum")
    low, high = max(lowest, default=None), min(highest, default=None)
    step = _step(schema, whole)
    near = low if low is not None else min([Decimal(1), *highest])
    if step is not None:
        near = (near / step).to_integral_value(ROUND_FLOOR if low is None else ROUND_CEILING) * step
    gap = step or ((high - low) / 1000 if low is not None and high is not None else Decimal(1))
    if low is None and high is not None:
        gap = -gap
    if near in _bounds(schema, "exclusiveMinimum", "exclusiveMaximum"):
        near += gap
    varied = near + variant * gap
    return varied if high is None or varied <= high else near


def _bounds(schema: Mapping[str, Any], *names: str) -> list[Decimal]:
    """Draft 4 has booleans for the exclusive ones."""
    values = (schema[name] for name in names if name in schema)
    return [Decimal(str(value)) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def _step(schema: Mapping[str, Any], whole: bool) -> Decimal | None:
    named = [step for step in _bounds(schema, "multipleOf") if step > 0]
    if not whole:
        return named[0] if named else None
    return Decimal(named[0].as_integer_ratio()[0]) if named else Decimal(1)
