"""What a provider's quota counts, and what an answer says of how much is left of it."""

from enum import StrEnum
from typing import NamedTuple


class Unit(StrEnum):
    """What is counted, by the minute. Some providers count a prompt's and an answer's tokens apart."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"


class Left(NamedTuple):
    """What an answer's headers say of one unit: how much is `left` of the `limit` a minute, both in that unit."""

    unit: Unit
    limit: int
    left: int
