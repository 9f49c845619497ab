"""The tokens of a completion's `usage`, whatever the server calls them.

A cost is known only where everything in `usage` is explained: nothing is guessed, and what contradicts itself, or
cannot be true, is unknown. Sources: the API references of OpenAI, Anthropic, DeepSeek, Moonshot, xAI and Gemini.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

from pipelines.providers.counting import Unclear, count, is_possible
from synthralos.domain.money import Usage

_PROMPT = ("prompt_tokens", "input_tokens")
_COMPLETION = ("completion_tokens", "output_tokens")
_BESIDE_THE_INPUT = ("cache_read_input_tokens", "cache_creation_input_tokens")
"""Anthropic's names: its own API counts these beside the input, gateways count them into it."""

_READ, _WRITTEN, _REASONING = range(3)


def read_usage(usage: object, *, thoughts_beside: bool = False) -> Usage | None:
    """The tokens that were billed; None, which is unknown, where they are missing, unexplained or contradictory.

    `thoughts_beside`: what `total_tokens` has beyond prompt and completion is reasoning, billed as output. That is
    a promise of one provider (Gemini), and nothing to be guessed of others.
    """
    if not isinstance(usage, dict):
        return None
    try:
        return _explained(usage, thoughts_beside=thoughts_beside)
    except Unclear:
        return None


def _explained(usage: dict[str, Any], *, thoughts_beside: bool) -> Usage | None:
    prompt, completion = _first(usage, _PROMPT), _first(usage, _COMPLETION)
    if prompt is None or completion is None:
        return None
    read, write, reasoning = _counted_apart(usage)
    total = count(usage.get("total_tokens")) or None
    may_be_beside = any(usage.get(name) for name in _BESIDE_THE_INPUT)
    beside_first = may_be_beside and "prompt_tokens" not in usage
    for cache_beside, reasoning_beside in product((beside_first, not beside_first), (False, True)):
        if total is None and (reasoning_beside or (cache_beside and not may_be_beside)):
            continue
        found = Usage(
            prompt + (read + write if cache_beside else 0),
            completion + (reasoning if reasoning_beside else 0),
            read, reasoning, write,
        )  # fmt: skip
        if total in (None, found.input + found.output) and is_possible(found):
            return found
    rest = (total or 0) - prompt - completion
    if not thoughts_beside or rest <= 0:
        return None
    found = Usage(prompt, completion + rest, read, max(reasoning, rest), write)
    return found if is_possible(found) else None


def _first(usage: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((found for name in names if (found := count(usage.get(name))) is not None), None)


def _counted_apart(usage: dict[str, Any]) -> tuple[int, int, int]:
    """Tokens read from the cache, written to it, and of reasoning: of each the one count that all its names agree on.

    0 where there is none.
    """
    counts = [0, 0, 0]
    for name, value in _named(usage):
        kind = _kind(name) if "token" in name else None
        if kind is not None and (found := count(value)):
            if counts[kind] not in (0, found):
                raise Unclear
            counts[kind] = found
    return counts[_READ], counts[_WRITTEN], counts[_REASONING]


def _named(usage: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members of `usage` and of its details."""
    for name, value in usage.items():
        if isinstance(value, dict) and name.endswith("_details"):
            yield from value.items()
        else:
            yield name, value


def _kind(name: str) -> int | None:
    """What a number of tokens counts, if it is any of these.

    Written: `cache_write_tokens`, `cache_creation_input_tokens` … Read: `cached_tokens`, `prompt_cache_hit_tokens`,
    `cache_read_input_tokens` …
    """
    if "cache" in name:
        if "write" in name or "creat" in name:
            return _WRITTEN
        return None if "miss" in name else _READ
    return _REASONING if name == "reasoning_tokens" else None
