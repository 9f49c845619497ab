"""Whether an estimate of a prompt's tokens is good enough to choose among windows."""

from collections.abc import Sequence

from pipelines.tokens import BYTES_PER_TOKEN, TextSize


def undecided(size: TextSize, rooms: Sequence[int]) -> bool:
    """Whether an estimate of tokens that is wrong by a factor of two might be on the wrong side of a window.

    Denser text than that does pass, and meets the provider's own check; heal then looks for a larger window.
    `rooms` is what each window leaves for the prompt, smallest first.
    """
    low = size.bytes // (2 * BYTES_PER_TOKEN)
    high = 2 * size.bytes // BYTES_PER_TOKEN + size.overhead
    return bool(rooms) and rooms[0] < high and any(low <= room_left < high for room_left in rooms)
