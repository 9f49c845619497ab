"""Regular expressions in linear time, bounded in what they take; look-around and back-references are out."""

from collections.abc import Callable
from typing import Any

import re2  # type: ignore[import-untyped]

from pipelines.policies.problems import Unfit, shown

MOST_CHARACTERS = 500
"""Of an expression."""

MOST_STEPS = 500
"""Characters and classes that a compiled expression has: so many of them a byte is held against, at worst."""

MOST_READ, LEAST_READ = 1_000_000, 10_000
"""Bytes of a text that an expression reads: a simple one, and the least that every one does."""

_WORK = 5_000_000
"""Steps times bytes. A step takes up to 10 ns where the automaton never gets simple: 50 ms for a text."""

_MEMORY = 1 << 20
"""Bytes that a compiled expression and its automaton take at most: `((a{99}){99}){99}` is refused."""

_MOST_INSTRUCTIONS = 5_000
"""Of a compiled expression. A class of Unicode characters takes up to a thousand."""


def searcher(pattern: str) -> Callable[[str], bool]:
    """Whether the expression is found anywhere in a text. Raises `Unfit` for one that cannot be used.

    Of a text that is longer than `bytes_read` only the first three quarters of that are read, and the last quarter,
    as if a line ended between them. A lone surrogate counts as a question mark.
    """
    compiled = _compiled(pattern)
    steps = steps_of(pattern)
    if compiled.programsize > _MOST_INSTRUCTIONS or steps > MOST_STEPS:
        raise Unfit(f"{shown(pattern)} takes too long to search for", "repeat less in it, or write several conditions")
    search, most = compiled.search, bytes_read(steps)

    def found(text: str) -> bool:
        return search(_read(text, most)) is not None

    return found


def steps_of(pattern: str) -> int:
    """How many characters and classes an expression has, its repetitions written out."""
    short = "".join(each if each <= "\xff" else "\xff" for each in pattern).encode("latin-1")
    try:
        return int(_compiled(short).programsize)
    except Unfit:  # it names a character by a number that Latin-1 does not have
        return int(_compiled(pattern).programsize)


def bytes_read(steps: int) -> int:
    """Bytes of a text that an expression of so many steps reads."""
    return max(LEAST_READ, min(MOST_READ, _WORK // max(steps, 1)))


def _compiled(pattern: str | bytes) -> Any:
    """Compiled for texts in UTF-8; given as bytes, for Latin-1, where each character is one byte."""
    if len(pattern) > MOST_CHARACTERS:
        raise Unfit(f"has more than {MOST_CHARACTERS} characters", "shorten it, or write several conditions")
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = True
    if isinstance(pattern, bytes):
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise Unfit(f"{shown(pattern)} cannot be used as a regular expression ({_words(error)})", _REMEDY) from None


def _read(text: str, most: int) -> bytes:
    """The bytes that are searched; a character that is cut is left out."""
    if len(text) <= most:
        data = text.encode("utf-8", "replace")
        if len(data) <= most:
            return data
    tail = most // 4
    first, last = text[: most - tail].encode("utf-8", "replace"), text[-tail:].encode("utf-8", "replace")
    kept = first[: most - tail].decode("utf-8", "ignore"), last[-tail:].decode("utf-8", "ignore")
    return "\n".join(kept).encode()


_REMEDY = "use RE2's syntax: no look-around, no back-references, small repetitions"


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))[:100]
