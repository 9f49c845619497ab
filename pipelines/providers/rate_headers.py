"""What the headers of an answer say is left of a quota: OpenAI's and Anthropic's, which many others write too.

Sources: OpenAI API reference, "Rate limits in headers"; Anthropic API reference, "Rate limits", "Response headers".
When a limit is reset is not gone by: what is granted follows what is left, and a refusal says itself for how long.
"""

from pipelines.providers.transport.protocol import Headers
from synthralos.domain.quota_units import Left, Unit

_OPENAI = (
    (Unit.REQUESTS, b"x-ratelimit-limit-requests", b"x-ratelimit-remaining-requests"),
    (Unit.TOKENS, b"x-ratelimit-limit-tokens", b"x-ratelimit-remaining-tokens"),
)
_ANTHROPIC = tuple(
    (unit, f"anthropic-ratelimit-{name}-limit".encode(), f"anthropic-ratelimit-{name}-remaining".encode())
    for unit, name in (
        (Unit.REQUESTS, "requests"),
        (Unit.INPUT_TOKENS, "input-tokens"),
        (Unit.OUTPUT_TOKENS, "output-tokens"),
    )
)
_ANTHROPIC_TOKENS = (Unit.TOKENS, b"anthropic-ratelimit-tokens-limit", b"anthropic-ratelimit-tokens-remaining")
"""The most restrictive of its limits of tokens at the moment: only where those of input and output are not told."""

_LONGEST = 15
"""Digits of a count: no limit is larger."""

NOTHING: tuple[Left, ...] = ()


def left_in(headers: Headers) -> tuple[Left, ...]:
    """What is left, by unit; empty where nothing is said that can be understood."""
    # Of each kind one header that is there whenever any is: most answers have none, and pay two look-ups.
    if b"x-ratelimit-limit-requests" in headers or b"x-ratelimit-limit-tokens" in headers:
        return _read(headers, _OPENAI)
    if b"anthropic-ratelimit-requests-limit" in headers or b"anthropic-ratelimit-tokens-limit" in headers:
        apart = _read(headers, _ANTHROPIC)
        if any(each.unit is not Unit.REQUESTS for each in apart):
            return apart
        return (*apart, *_read(headers, (_ANTHROPIC_TOKENS,)))
    return NOTHING


def _read(headers: Headers, names: tuple[tuple[Unit, bytes, bytes], ...]) -> tuple[Left, ...]:
    found: list[Left] = []
    for unit, limit_name, left_name in names:
        limit, left = _count(headers.get(limit_name)), _count(headers.get(left_name))
        if limit and left is not None:  # a limit of 0 is how some say that there is none
            found.append(Left(unit, limit, min(left, limit)))
    return tuple(found)


def _count(text: bytes | None) -> int | None:
    """A whole number that is not negative; of several, which proxies join with commas, the least counts."""
    if text is None:
        return None
    counts: list[int] = []
    for part in text.split(b","):
        digits = part.strip()
        if not digits.isdigit() or len(digits) > _LONGEST:
            return None
        counts.append(int(digits))
    return min(counts)
