"""What senders and workers agree on: the name of a worker's channel, and what a ring looks like on it."""

from collections.abc import Sequence

from synthralos.broker.queues import actor_name, bell_of
from synthralos.domain.states import Lane, Stage


def channel_of(worker_id: str) -> str:
    """The channel that the worker hears its rings on (PostgreSQL takes 63 bytes)."""
    return f"synthralos_ring_{worker_id.replace('-', '')}"


def encode_ring(stage: Stage, lane: Lane, ids: Sequence[str]) -> str:
    """A ring as a payload: such as `guard.bulk`, then ids of 36 characters each, separated by commas."""
    return ",".join((actor_name(stage, lane), *ids))


def decode_ring(payload: str) -> tuple[Stage, Lane, list[str]]:
    """The inverse of `encode_ring`; `ValueError` for a stage or lane that this version does not know."""
    actor, *ids = payload.split(",")
    return *bell_of(actor), ids
