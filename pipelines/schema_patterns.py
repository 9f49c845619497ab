"""How long a regular expression may take for each character of a text, reckoned from the expression alone.

The engine's time is linear in the text. Usually a character takes a nanosecond or two; where an expression can be in
ever new sets of its places at once, it takes as long as there are places.
"""

import re

SIMPLE = 10
"""Nanoseconds for each character, where the sets of places are few."""

_HARD, _PLACE = 700, 25
_FEW_PLACES = 10

_REPEATED_END = re.compile(r"(?<=[^\\)])([*+?]|\{\d{1,6},\d{0,6}\})\$?\Z")
_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\{(\d{1,6})(,(\d{0,6}))?\}|.", re.DOTALL)


def pattern_cost(pattern: str) -> int:
    """Nanoseconds for each character at most."""
    places, fixed = _places(_REPEATED_END.sub("", pattern))
    if places <= _FEW_PLACES or fixed:
        return SIMPLE
    return _HARD + _PLACE * places


def _places(pattern: str) -> tuple[int, bool]:
    """Places of an expression with its repetitions written out, and whether texts can go through in one way only."""
    groups, last, fixed = [0], 0, pattern.startswith("^")
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if text == "(":
            groups.append(0)
        elif text == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif token[1] is not None:
            least, most = int(token[1]), int(token[3] or token[1])
            fixed = fixed and (token[2] is None or most == least)
            groups[-1] += last * (max(least, most, 1) - 1)
            last *= max(least, most, 1)
        else:
            fixed = fixed and text not in "*+?|"
            last = 1
            groups[-1] += 1
    return sum(groups), fixed
