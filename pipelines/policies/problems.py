"""What is wrong with a policy set: each problem names the place, says what it is, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from reprlib import Repr
from typing import Any, Literal

MOST_PROBLEMS = 50
"""Problems that are told about one policy set, at most."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` leads to the place: `rules[3].when.all[0].field`. A set with an `error` should not be published."""

    path: str
    problem: str
    remedy: str
    severity: Severity = "error"

    def to_json(self) -> dict[str, str]:
        """The published form."""
        return {"path": self.path, "problem": self.problem, "remedy": self.remedy, "severity": self.severity}


class InvalidPolicy(Exception):
    """The document is no policy set. All that is wrong with it is told at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{p.path} {p.problem}: {p.remedy}" for p in problems[:MOST_PROBLEMS]))
        self.problems = tuple(problems[:MOST_PROBLEMS])


class Unfit(ValueError):
    """A value that cannot stand where it stands. `member`: which one of an object it is, where there are several."""

    def __init__(self, problem: str, remedy: str, member: str | None = None) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem, self.remedy, self.member = problem, remedy, member


@dataclass(eq=False)
class Problems:
    """Collects the problems of one document."""

    found: list[Problem] = field(default_factory=list)

    def add(self, path: str, problem: str, remedy: str) -> None:
        """One more error."""
        self.found.append(Problem(path, problem, remedy))

    def unfit(self, path: str, error: Unfit) -> None:
        """One more error, as it was raised."""
        self.add(path, error.problem, error.remedy)

    def raise_any(self) -> None:
        """Raise `InvalidPolicy` where there are any."""
        if self.found:
            raise InvalidPolicy(self.found)


def shown(value: Any) -> str:
    """A wrong value or name as an error repeats it: bounded in length, and in the time that it takes."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        text = "a number with too many digits"
    return text if len(text) <= 80 else f"{text[:79]}…"


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 4
