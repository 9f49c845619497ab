"""Deltas: what a model has said since the last one, while its answer is still being written."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """More of one tool call: `index` is its place in the answer; `id` and `name` come with its first piece."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {"index": self.index, "id": self.id, "name": self.name, "arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of an answer: text, reasoning, or more of tool calls. Never all of them empty."""

    text: str = ""
    reasoning: str = ""
    tools: tuple[ToolDelta, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.reasoning or self.tools)


@dataclass(frozen=True, slots=True)
class Place:
    """How far an attempt's answer was told: Unicode characters of text and of reasoning, and chunks."""

    attempt: int = 0
    chunk: int = 0
    text: int = 0
    reasoning: int = 0

    def __str__(self) -> str:
        return f"{self.attempt}.{self.chunk}.{self.text}.{self.reasoning}"

    @classmethod
    def read(cls, written: str) -> "Place":
        """The inverse of `str`; the very beginning for what is none."""
        parts = written.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts):
            return cls()
        return cls(*map(int, parts))


@dataclass(frozen=True, slots=True)
class Chunk:
    """The deltas of a moment as they are stored and sent. `place` is where it ends; its number begins at 1."""

    job_id: str
    place: Place
    deployment: str
    text: str = ""
    reasoning: str = ""
    tools: tuple[dict[str, Any], ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """The published form: the data of a `delta` event."""
        return {
            "attempt": self.place.attempt,
            "deployment": self.deployment,
            "text": self.text,
            "reasoning": self.reasoning,
            "tool_calls": list(self.tools),
        }

    def stored(self) -> dict[str, Any]:
        """The stored form; `job_id` is kept beside it."""
        return {"place": str(self.place), **self.to_json()}

    @classmethod
    def from_stored(cls, job_id: str, data: dict[str, Any]) -> "Chunk":
        """The inverse of `stored`."""
        place = Place.read(data["place"])
        return cls(job_id, place, data["deployment"], data["text"], data["reasoning"], tuple(data["tool_calls"]))


def merged_tools(tools: Iterable[ToolDelta]) -> tuple[dict[str, Any], ...]:
    """Pieces of tool calls that came one after another, as few as possible: one for each run of the same call."""
    found: list[dict[str, Any]] = []
    for tool in tools:
        last = found[-1] if found else None
        if last is not None and last["index"] == tool.index and tool.id is None and tool.name is None:
            last["arguments"] += tool.arguments
        else:
            found.append(tool.to_json())
    return tuple(found)
