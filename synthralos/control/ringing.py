"""One ring for each stage and lane, whatever order the jobs come in."""

from collections import defaultdict
from collections.abc import Iterable

from synthralos.broker.protocol import Doorbell
from synthralos.domain.states import Lane, Stage

Place = tuple[Stage, Lane, str]
"""A stage, a lane, and the id of a job that has work there."""


def ring_for(doorbell: Doorbell, places: Iterable[Place]) -> None:
    """Say that these jobs have work. Never blocks, never raises."""
    groups: defaultdict[tuple[Stage, Lane], list[str]] = defaultdict(list)
    for stage, lane, job_id in places:
        groups[stage, lane].append(job_id)
    for (stage, lane), ids in groups.items():
        doorbell.ring(stage, lane, ids)
