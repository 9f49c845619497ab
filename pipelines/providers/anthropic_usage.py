"""The tokens of a message's `usage`. Source: Anthropic API reference, "Usage"; "Prompt caching", "Pricing"."""

from pipelines.providers.counting import Unclear, count, is_possible
from synthralos.domain.money import Usage


def read_usage(usage: object) -> Usage | None:
    """The tokens that were billed; None, which is unknown, where they are missing or cannot be what they say.

    `input_tokens` are without what was read from the cache and written to it; `output_tokens` are with the thoughts.
    What was written to the cache for an hour has a price that no deployment knows: with it the cost is unknown.
    """
    if not isinstance(usage, dict):
        return None
    try:
        fresh, output = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
        read = count(usage.get("cache_read_input_tokens")) or 0
        written = count(usage.get("cache_creation_input_tokens")) or 0
        for_an_hour = _within(usage, "cache_creation", "ephemeral_1h_input_tokens")
        thoughts = _within(usage, "output_tokens_details", "thinking_tokens")
    except Unclear:
        return None
    if fresh is None or output is None or for_an_hour:
        return None
    found = Usage(fresh + read + written, output, cached=read, reasoning=thoughts, cache_write=written)
    return found if is_possible(found) else None


def _within(usage: dict[str, object], outer: str, name: str) -> int:
    details = usage.get(outer)
    return (count(details.get(name)) or 0) if isinstance(details, dict) else 0
