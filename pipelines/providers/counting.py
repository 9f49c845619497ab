"""Numbers of tokens as providers write them: what cannot be true is unknown, and nothing is guessed."""

import re

from synthralos.domain.money import ServiceTier, Usage

MOST_TOKENS = 100_000_000
"""Tokens that one call may have used: no window is that large, and a larger count is a fault of the server."""

_LONGEST_TIER = 50
_INTEGER = re.compile(r"[0-9]{1,12}", re.ASCII)


class Unclear(Exception):
    """A count cannot be what it says."""


def is_possible(usage: Usage) -> bool:
    """Whether the parts fit into their sums, and the sums into any window."""
    return (
        usage.cached + usage.cache_write <= usage.input
        and usage.cache_write_1h <= usage.cache_write
        and usage.reasoning <= usage.output
        and max(usage.input, usage.output) <= MOST_TOKENS
    )


_TIERS = {
    "default": ServiceTier.STANDARD,
    "standard": ServiceTier.STANDARD,
    "on_demand": ServiceTier.STANDARD,
    "flex": ServiceTier.FLEX,
    "priority": ServiceTier.PRIORITY,
    "fast": ServiceTier.PRIORITY,
    "batch": ServiceTier.BATCH,
}
"""What providers call their tiers. Sources: the API references of OpenAI, Anthropic and Groq, "Service tiers"."""


def tier_in(value: object) -> str | None:
    """The service tier that a provider says it billed; its own word where that is none of ours, None without one.

    `auto` is what may be asked for, and says nothing of what was billed.
    """
    if not isinstance(value, str) or value in ("", "auto"):
        return None
    return _TIERS.get(value, value[:_LONGEST_TIER])


def count(value: object) -> int | None:
    """A number of tokens; None where there is none. Some servers write `5.0`, or `"5"`.

    Raises `Unclear` for what no number of tokens can be.
    """
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int or not 0 <= value <= MOST_TOKENS:
        raise Unclear
    return value
