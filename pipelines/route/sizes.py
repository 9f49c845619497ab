"""How many tokens a plan counts with: exact where they decide which windows are large enough, estimated elsewhere."""

from collections.abc import Sequence

from pipelines.tokens import BYTES_PER_TOKEN, TextSize, TokenCounter, encoding_for, prompt_size, prompt_texts
from synthralos.domain.jobs import Request


def prompt_tokens(request: Request, rooms: Sequence[int], counter: TokenCounter) -> int:
    """The prompt's tokens, images too. `rooms` is what each window leaves for the prompt, smallest first."""
    size = prompt_size(request)
    if _undecided(size, rooms):
        return counter.count(prompt_texts(request), encoding_for(request.model)) + size.images
    return rounded_up(size.estimate)


def rounded_up(tokens: int) -> int:
    """`tokens` rounded up by at most 1/32, so that the estimates of prompts of about the same length are equal."""
    shift = max(0, tokens.bit_length() - 6)
    return -(-tokens >> shift) << shift


def _undecided(size: TextSize, rooms: Sequence[int]) -> bool:
    """Whether an estimate of tokens that is wrong by a factor of two might be on the wrong side of a window.

    Denser text than that does pass, and meets the provider's own check; heal then looks for a larger window.
    """
    low = size.bytes // (2 * BYTES_PER_TOKEN) + size.images
    high = 2 * size.bytes // BYTES_PER_TOKEN + size.overhead + size.images
    return bool(rooms) and rooms[0] < high and any(low <= room_left < high for room_left in rooms)
