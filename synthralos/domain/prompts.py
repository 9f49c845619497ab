"""Prompts compared with earlier ones: what is kept of each, and which were like it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Match:
    """An earlier prompt of the same workspace. `score`: 0 to 1. `exact`: equal but for case, spacing and looks."""

    job_id: str
    score: float
    exact: bool

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {"job_id": self.job_id, "score": self.score, "exact": self.exact}


@dataclass(frozen=True, slots=True)
class ComparedPrompt:
    """What is kept of a job's prompt, to compare later ones with.

    `fingerprint` is equal for prompts that are equal but for case, spacing and looks; `request_key` for requests that
    are equal in everything a provider sees. `vector` is the embedding as the similarity search stores it, made by
    `embedder`: vectors of others mean something else. `matches` are the best, best first.
    """

    fingerprint: str
    request_key: str
    embedder: str
    vector: bytes
    matches: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class EarlierPrompt:
    """One that was stored: of which job, and when (seconds since the epoch, by the database's clock)."""

    job_id: str
    organization: str
    workspace: str
    fingerprint: str
    embedder: str
    vector: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """The answer to an equal request of the same organization, workspace and classification."""

    organization: str
    workspace: str
    request_key: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An earlier job with a result of its own."""

    job_id: str
    result: dict[str, Any]

    def reused(self) -> dict[str, Any]:
        """The result of a job that it answers: nothing was used for it."""
        return {**self.result, "usage": None, "reused_from": self.job_id}
