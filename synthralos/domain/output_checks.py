"""What policies demand of an answer: how long it is, and what is in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class OutputCheck:
    """Bounds of an answer's text in characters, and expressions in linear time that it has to match, or must not.

    `reason` is told where an answer does not pass, in the place of what the check finds.
    """

    min_characters: int | None = None
    max_characters: int | None = None
    must_match: str | None = None
    must_not_match: str | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The stored and published form: what it has."""
        members = {
            "min_characters": self.min_characters,
            "max_characters": self.max_characters,
            "must_match": self.must_match,
            "must_not_match": self.must_not_match,
            "reason": self.reason,
        }
        return {name: value for name, value in members.items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "OutputCheck":
        """The inverse of `to_json`; what a later release may add is left out."""
        known = ("min_characters", "max_characters", "must_match", "must_not_match", "reason")
        return cls(**{name: data[name] for name in known if name in data})


def no_length_left(checks: Iterable[OutputCheck]) -> bool:
    """Whether no answer is long enough for one of them and short enough for another."""
    found = list(checks)
    least = max((each.min_characters for each in found if each.min_characters is not None), default=0)
    most = [each.max_characters for each in found if each.max_characters is not None]
    return bool(most) and least > min(most)
