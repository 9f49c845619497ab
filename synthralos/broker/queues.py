"""Names of queues and actors, and the size of a message: what ringers and workers must agree on."""

from synthralos.domain.states import Lane, Stage

BATCH = 256
"""The most job ids that one message carries: what a message and a batch cost each is shared by so many."""


def queue_name(namespace: str, stage: Stage, lane: Lane) -> str:
    """The queue of a stage's lane, such as `synthralos.guard.bulk`."""
    return f"{namespace}.{stage}.{lane}"


def actor_name(stage: Stage, lane: Lane) -> str:
    """The Dramatiq actor of a stage's lane, such as `guard.bulk`."""
    return f"{stage}.{lane}"


def direct_queue(lane: Lane) -> str:
    """The queue of what is rung directly at a process. It exists in that process alone."""
    return f"direct.{lane}"


def bell_of(actor: str) -> tuple[Stage, Lane]:
    """The inverse of `actor_name`; `ValueError` for a stage or lane that this version does not know."""
    stage, _, lane = actor.partition(".")
    return Stage(stage), Lane(lane)


def all_queues(namespace: str) -> list[str]:
    """Every queue that a namespace can have."""
    return [queue_name(namespace, stage, lane) for stage in Stage for lane in Lane]
