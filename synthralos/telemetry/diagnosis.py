"""From an error to a reason and a remedy that an operator can act on, by tables."""

import re
from collections.abc import Iterator, Sequence

_DEEPEST = 6
"""Causes of causes that are looked at."""


class Diagnoses:
    """A table of (pattern, reason, remedy), looked for in the codes and texts of an error and of its causes.

    The first row that fits counts; `otherwise` is the remedy where none does.
    """

    def __init__(self, rows: Sequence[tuple[str, str, str]], otherwise: str) -> None:
        self._rows = [(re.compile(pattern, re.IGNORECASE), reason, remedy) for pattern, reason, remedy in rows]
        self._otherwise = otherwise

    def of(self, error: BaseException) -> tuple[str, str]:
        """(reason, remedy)."""
        found = self.find(error)
        if found is not None:
            return found
        first = next(iter(str(error).strip().splitlines()), "")
        return f"{type(error).__name__}: {first}" if first else type(error).__name__, self._otherwise

    def find(self, error: BaseException) -> tuple[str, str] | None:
        """The same; None where no row fits."""
        text = " ".join(_texts(error))
        for pattern, reason, remedy in self._rows:
            if pattern.search(text):
                return reason, remedy
        return None


def _texts(error: BaseException | None) -> Iterator[str]:
    """The kind, the codes and the message of the error and of what caused it."""
    for _ in range(_DEEPEST):
        if error is None:
            return
        for code in ("sqlstate", "reply_code"):
            if (value := getattr(error, code, None)) is not None:
                yield str(value)
        yield f"{type(error).__name__}: {error!r} {error}"
        error = error.__cause__ or error.__context__
