"""A store of earlier prompts in memory, and a simple measure of how alike prompts are."""

from collections.abc import Collection, Mapping, Sequence
from hashlib import md5
from zlib import crc32

import numpy as np

from pipelines.repeats.memory import PromptMemory
from pipelines.repeats.protocol import Vector, Vectors
from synthralos.domain.jobs import Job, Request
from synthralos.domain.prompts import Answered, EarlierPrompt, Wanted
from synthralos.telemetry.outages import Outages


class WordLikeness:
    """Prompts are alike by the words that they share."""

    def nearness(self, embedder: str) -> float | None:
        return 0.65 if embedder == "words" else None

    def fingerprint(self, text: str) -> str:
        return md5(" ".join(text.lower().split()).encode(), usedforsecurity=False).hexdigest()

    def embed(self, jobs: Sequence[Job], texts: Sequence[str]) -> list[Vector]:
        return [Vector("words", row) for row in self.vectors(texts)]

    def vectors(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[crc32(word.encode("utf-8", "replace")) % 64] += 1
        lengths = np.sqrt((rows * rows).sum(1, keepdims=True))
        return rows / np.where(lengths > 0, lengths, 1)

    def same(self, one: str, other: str) -> float | None:
        first, second = set(one.lower().split()), set(other.lower().split())
        score = len(first & second) / (len(first | second) or 1)
        return score if score >= 0.75 else None


class StoredPrompts:
    """What other processes stored. While `away` it answers nothing; `asked` counts the questions."""

    def __init__(self) -> None:
        self.prompts: list[EarlierPrompt] = []
        self.texts: dict[str, str] = {}
        self.answers: dict[Wanted, Answered] = {}
        self.away = False
        self.asked = 0

    def recent(self, organization: str, workspace: str, seconds: float, most: int) -> list[EarlierPrompt]:
        self._ask()
        return [p for p in self.prompts if (p.organization, p.workspace) == (organization, workspace)][-most:]

    def newer(self, organizations: Collection[str], since: float) -> list[EarlierPrompt]:
        self._ask()
        return [prompt for prompt in self.prompts if prompt.organization in organizations and prompt.at > since]

    def requests(self, job_ids: Collection[str]) -> Mapping[str, Request]:
        self._ask()
        return {
            job_id: Request("auto", {"messages": [{"role": "user", "content": self.texts[job_id]}]})
            for job_id in job_ids
            if job_id in self.texts
        }

    def answered(self, wanted: Sequence[Wanted], seconds: float) -> Mapping[Wanted, Answered]:
        self._ask()
        return {each: self.answers[each] for each in wanted if each in self.answers}

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise ConnectionError("the store is away")


class Clock:
    """Seconds since the epoch, as a test sets them."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def a_memory(
    source: StoredPrompts | None = None, *, seconds: float = 3_600, most: int = 1_000, clock: Clock | None = None
) -> PromptMemory:
    return PromptMemory(
        source or StoredPrompts(), WordLikeness(), Outages(), seconds=seconds, most=most, clock=clock or Clock()
    )
