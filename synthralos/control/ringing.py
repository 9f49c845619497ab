"""One ring for each stage and lane, whatever order the jobs come in."""

from collections.abc import Iterable

from synthralos.broker.protocol import Doorbell
from synthralos.domain.states import Lane, Stage

Place = tuple[Stage, Lane, str]
"""A stage, a lane, and the id of a job that has work there."""


def grouped(places: Iterable[Place]) -> dict[tuple[Stage, Lane], list[str]]:
    """The ids of each stage and lane, in their order."""
    groups: dict[tuple[Stage, Lane], list[str]] = {}
    for stage, lane, job_id in places:
        groups.setdefault((stage, lane), []).append(job_id)
    return groups


def ring_for(doorbell: Doorbell, places: Iterable[Place]) -> None:
    """Say that these jobs have work. Never blocks, never raises."""
    for (stage, lane), ids in grouped(places).items():
        doorbell.ring(stage, lane, ids)
