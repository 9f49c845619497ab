"""A batch of prompts of one workspace, on its way through the memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.repeats.protocol import Vector, Vectors
from synthralos.domain.jobs import Job

CLOSE = 3
"""Earlier prompts that are compared closely with each prompt."""

Place = tuple[str, str]
"""Organization and workspace: nobody is shown what was asked in another one."""


@dataclass(slots=True)
class Look:
    """A batch of prompts of one workspace."""

    jobs: Sequence[Job]
    texts: list[str]
    prints: list[str]
    vectors: list[Vector]

    def kinds(self) -> Iterator[tuple[str, list[int], Vectors]]:
        """The embedders of the batch, each with the places of its prompts and their vectors."""
        places: dict[str, list[int]] = {}
        for place, vector in enumerate(self.vectors):
            places.setdefault(vector.embedder, []).append(place)
        for embedder, each in places.items():
            yield embedder, each, np.stack([self.vectors[place].numbers for place in each])


def with_batch(look: Look, equal: list[tuple[list[str], int]]) -> list[tuple[list[str], int]]:
    """The equal prompts of each, newest first, and how many there are: those before it in the batch too."""
    found, seen = [], dict[str, list[str]]()
    for job, each, (ids, count) in zip(look.jobs, look.prints, equal, strict=True):
        earlier = seen.setdefault(each, [])
        found.append(([*reversed(earlier), *ids][:CLOSE], count + len(earlier)))
        earlier.append(job.id)
    return found


def nearest_first(candidates: list[list[str]]) -> Iterator[tuple[int, str]]:
    """The first candidate of every place, then the second ones."""
    for rank in range(CLOSE):
        yield from ((place, ids[rank]) for place, ids in enumerate(candidates) if rank < len(ids))


def by_workspace(jobs: Sequence[Job], texts: Mapping[str, str]) -> dict[Place, list[Job]]:
    """Those that have any text, by their workspaces."""
    groups: dict[Place, list[Job]] = {}
    for job in jobs:
        if texts[job.id] and not texts[job.id].isspace():
            groups.setdefault((job.tenant.organization, job.tenant.workspace), []).append(job)
    return groups
