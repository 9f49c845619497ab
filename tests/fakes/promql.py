"""What a PromQL expression asks for: metrics with their label matchers, and the labels that it groups by."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_TOKENS = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<range>\[[^\]]*\])|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)
    |(?P<number>[0-9.]+[a-z0-9]*)|(?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},])""",
    re.X,
)
_GROUPS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_WORDS = frozenset({"and", "or", "unless", "offset", "bool"})


class Matcher(NamedTuple):
    """`label` `sign` `value`, such as `state =~ "failed|expired"`."""

    label: str
    sign: str
    value: str

    @property
    def values(self) -> list[str]:
        """Those that are named one by one."""
        return self.value.split("|") if re.fullmatch(r"[\w|]+", self.value) else []


@dataclass
class Asked:
    """`metrics` with their matchers, one for each mention, and labels that are `grouped` by."""

    metrics: list[tuple[str, list[Matcher]]] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)


def asked(expression: str) -> Asked:
    """Read an expression; raises `ValueError` for characters that none may have."""
    tokens = _tokens(expression)
    found = Asked()
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        place += 1
        if kind != "name" or text in _WORDS:
            continue
        if text in _GROUPS:
            end = tokens.index(("sign", ")"), place)
            found.grouped |= {name for kind, name in tokens[place:end] if kind == "name"}
            place = end + 1
        elif following == "{":
            end = tokens.index(("sign", "}"), place)
            found.metrics.append((text, _matchers(tokens[place + 1 : end])))
            place = end + 1
        elif following != "(" and not _groups_first(text, tokens[place : place + 1]):
            found.metrics.append((text, []))
    return found


def _groups_first(text: str, following: list[tuple[str, str]]) -> bool:
    """Whether it is an aggregation whose labels come before what it is applied to: `sum by (x) (…)`."""
    return bool(following) and following[0][1] in {"by", "without"}


def _matchers(tokens: list[tuple[str, str]]) -> list[Matcher]:
    texts = [text for _, text in tokens if text != ","]
    return [
        Matcher(label, sign, value[1:-1])
        for label, sign, value in zip(texts[::3], texts[1::3], texts[2::3], strict=True)
    ]


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    while place < len(expression):
        found = _TOKENS.match(expression, place)
        if found is None:
            raise ValueError(f"cannot be read from here: {expression[place:]}")
        if found.lastgroup not in ("space", "range"):
            tokens.append((str(found.lastgroup), found.group()))
        place = found.end()
    return tokens
