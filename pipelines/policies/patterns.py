"""Regular expressions in linear time, bounded in what they take; look-around and back-references are out."""

from collections.abc import Callable

import re2  # type: ignore[import-untyped]

from pipelines.policies.problems import Unfit, shown

MOST_CHARACTERS = 500
"""Of an expression."""

_MEMORY = 1 << 20
"""Bytes that a compiled expression and its automaton take at most: `((a{99}){99}){99}` is refused."""

_MOST_STEPS = 5_000
"""Instructions of a compiled expression: so many steps a byte takes at most, where it never gets simple."""


def searcher(pattern: str) -> Callable[[str], bool]:
    """Whether the expression is found anywhere in a text. Raises `Unfit` for one that cannot be used.

    A lone surrogate in a text counts as a question mark.
    """
    if len(pattern) > MOST_CHARACTERS:
        raise Unfit(f"has more than {MOST_CHARACTERS} characters", "shorten it, or write several conditions")
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = True
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise Unfit(f"{shown(pattern)} cannot be used as a regular expression ({_words(error)})", _REMEDY) from None
    if compiled.programsize > _MOST_STEPS:
        raise Unfit(f"{shown(pattern)} takes too long to search for", "repeat less in it")
    search = compiled.search

    def found(text: str) -> bool:
        return search(text.encode("utf-8", "replace")) is not None

    return found


_REMEDY = "use RE2's syntax: no look-around, no back-references, small repetitions"


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said))[:100]
