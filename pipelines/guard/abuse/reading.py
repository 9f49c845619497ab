"""What the guards that look for abuse read of a batch of jobs: made once for both of them."""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from pipelines.guard.abuse.ngrams import Grams, grams
from pipelines.guard.abuse.normalize import normalize_each
from synthralos.domain.jobs import Job

BATCH = 64
"""Texts that are read at once."""

_OURS = ("system", "developer")


class Read(NamedTuple):
    """Texts, what users, tools and documents say, and their n-grams as a reader would take them."""

    texts: list[str]
    grams: Grams


def read(texts: list[str]) -> Read:
    """At least one text."""
    return Read(texts, grams(normalize_each(texts)))


class Reader:
    """Keeps what it read for the next one in the same thread who asks about the same jobs, and no longer."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def of(self, jobs: Sequence[Job]) -> list[Read]:
        """What there is to read in each `BATCH` of the jobs."""
        kept: tuple[list[Job], list[Read]] | None = getattr(self._kept, "last", None)
        self._kept.last = None
        if kept and len(kept[0]) == len(jobs) and all(one is other for one, other in zip(kept[0], jobs, strict=True)):
            return kept[1]
        texts = ["\n".join(job.request.texts(without=_OURS)) for job in jobs]
        found = [read(texts[begin : begin + BATCH]) for begin in range(0, len(texts), BATCH)]
        self._kept.last = ([*jobs], found)
        return found
