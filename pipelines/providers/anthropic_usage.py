"""The tokens of a message's `usage`. Source: Anthropic API reference, "Usage"; "Prompt caching", "Pricing"."""

from pipelines.providers.counting import Unclear, count, is_possible, tier_in
from synthralos.domain.money import Usage


def read_usage(usage: object) -> Usage | None:
    """The tokens that were billed; None, which is unknown, where they are missing or cannot be what they say.

    `input_tokens` are without what was read from the cache and written to it; `output_tokens` are with the thoughts.
    The service tier that was billed is among them: `standard`, `priority` or `batch`.
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
    if fresh is None or output is None:
        return None
    found = Usage(
        fresh + read + written, output, cached=read, reasoning=thoughts, cache_write=written,
        cache_write_1h=for_an_hour, service_tier=tier_in(usage.get("service_tier")),
    )  # fmt: skip
    return found if is_possible(found) else None


def _within(usage: dict[str, object], outer: str, name: str) -> int:
    details = usage.get(outer)
    return (count(details.get(name)) or 0) if isinstance(details, dict) else 0
