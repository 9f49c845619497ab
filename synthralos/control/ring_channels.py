"""What senders and workers agree on: the name of a worker's channel, and what a ring looks like on it."""

from collections.abc import Sequence

from synthralos.domain.states import Stage


def channel_of(worker_id: str) -> str:
    """The channel that the worker hears its rings on (PostgreSQL takes 63 bytes)."""
    return f"synthralos_ring_{worker_id.replace('-', '')}"


def encode_ring(stage: Stage, ids: Sequence[str]) -> str:
    """A ring as a payload: the stage, then ids of 36 characters each, separated by commas."""
    return ",".join((stage, *ids))


def decode_ring(payload: str) -> tuple[Stage, list[str]]:
    """The inverse of `encode_ring`; `ValueError` for a stage that this version does not know."""
    stage, *ids = payload.split(",")
    return Stage(stage), ids
