"""Query parameters, before anybody reads them."""

from collections import Counter
from collections.abc import Sequence

from api.http.problems import invalid_field

LISTS = frozenset({"state", "type"})
"""Parameters that may be given several times: each adds a value."""


def require_once(items: Sequence[tuple[str, str]]) -> None:
    """Raise a 422 for a parameter that is given twice: which one counts would be anybody's guess."""
    if len(items) < 2:
        return
    counts = Counter(name for name, _ in items if name not in LISTS)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise invalid_field(f"query.{twice}", "is given twice", "send it once")
