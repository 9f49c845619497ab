"""Values of rules and of jobs: what rules may be given, how long it may be, and which values are equal.

Types are JSON's: a text, true or false, and a number are never equal to one another; 1 and 1.0 are one number.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pipelines.policies.fields import Field, Kind
from pipelines.policies.problems import Unfit, shown

MOST_VALUES = 1_000
"""Values in a list of a rule."""

MOST_CHARACTERS = 2_000
"""Of a text that a rule compares with."""

LARGEST = 2**63 - 1
"""Beyond it, numbers cannot be stored as JSON exactly."""

MOST_USD = Decimal(10**12)
MOST_PLACES = 24
"""Of an amount in USD, after the point."""

NUMBERS = (int, float, Decimal)
"""The types of numbers; `type(value) in NUMBERS` leaves true and false out, which `isinstance` would not."""

_MOST_DIGITS = 40

NOTHING: Final = object()
"""The key of what is equal to nothing: null, lists, objects."""

_TRUTHS: Final = {True: object(), False: object()}


def key_of(value: Any) -> Any:
    """What a value is found by in sets and tables: keys are equal where values are, and always hashable."""
    kind = type(value)
    if kind is str or kind is int or kind is float:
        return value
    if kind is bool:
        return _TRUTHS[value]
    return value if isinstance(value, str | Decimal) else NOTHING


def there(value: Any) -> bool:
    """Whether a job has a value: not null, and no text, list or object with nothing in it. 0 and false are values."""
    if value is None:
        return False
    return bool(value) if isinstance(value, str | list | dict | tuple) else True


def text_of(value: Any) -> str:
    """A text that a rule gives; raises `Unfit`."""
    if not isinstance(value, str) or not value:
        raise Unfit(f"{shown(value)} is no text", "give a text")
    if len(value) > MOST_CHARACTERS:
        raise Unfit(f"has more than {MOST_CHARACTERS:,} characters", "shorten it")
    return value


def list_of(value: Any, most: int = MOST_VALUES) -> Sequence[Any]:
    """A list that a rule gives; raises `Unfit`."""
    if not isinstance(value, list) or not 0 < len(value) <= most:
        raise Unfit(f"{shown(value)} is no list of values", f"give a list of 1 to {most:,}")
    return value


def range_of(known: Field, value: Any) -> tuple[Any, Any]:
    """The ends of a range: two numbers, or two texts, the lower one first; raises `Unfit`."""
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit(f"{shown(value)} is no range", "give a list of two values, the lower one first")
    low, high = (ordered(known, each) for each in value)
    if isinstance(low, str) is not isinstance(high, str):
        raise Unfit(f"{shown(value)} has a number and a text", "give two numbers, or two texts")
    if low > high:
        raise Unfit("is an empty range", "give the lower value first")
    return low, high


def ordered(known: Field, value: Any) -> Any:
    """A value that others are held against by their order: a number or a text; raises `Unfit`."""
    wanted = value_of(known, value)
    if isinstance(wanted, bool):
        raise Unfit(f"{shown(value)} has no order", "give a number")
    return wanted


def value_of(known: Field, value: Any) -> Any:
    """A value that those of the field are compared with; raises `Unfit`."""
    if known.kind is Kind.MONEY:
        return usd(value)
    if isinstance(value, str) and known.kind in (Kind.TEXT, Kind.ANY):
        if len(value) > MOST_CHARACTERS:
            raise Unfit(f"has more than {MOST_CHARACTERS:,} characters", "shorten it")
        return value
    if type(value) in (int, float) and known.kind in (Kind.NUMBER, Kind.ANY):
        if not abs(value) <= LARGEST:  # neither is NaN
            raise Unfit(f"{shown(value)} is no number that JSON has", f"give one up to {LARGEST:,}")
        return value
    if isinstance(value, bool) and known.kind is Kind.ANY:
        return value
    wanted = "text, number, true or false" if known.kind is Kind.ANY else str(known.kind)
    raise Unfit(f"{shown(value)} is no {wanted} as {known.name} is", f"give a {wanted}")


def usd(value: Any) -> Decimal:
    """An amount in USD, from its text or number; raises `Unfit`."""
    amount = Decimal("nan")
    if isinstance(value, str | Decimal) and len(str(value)) <= _MOST_DIGITS:
        amount = _decimal(str(value))
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST:
        amount = _decimal(repr(value))
    if not amount.is_finite() or not 0 <= amount <= MOST_USD or _places(amount) > MOST_PLACES:
        raise Unfit(f"{shown(value)} is no amount in USD", f"give one such as 0.05, with at most {MOST_PLACES} places")
    return amount


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("nan")


def _places(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0
