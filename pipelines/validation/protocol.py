"""What the stages ask of validators in another process, and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Side(StrEnum):
    """What is looked at: prompts before a call, or answers after one."""

    INPUT = "input"
    OUTPUT = "output"


class Verdict(StrEnum):
    """What validators say of a text. `fixed`: they made another one of it. `unseen`: nobody could look at it."""

    PASSED = "passed"
    FLAGGED = "flagged"
    REFUSED = "refused"
    FIXED = "fixed"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said of one text, with the reasons for people. `text` is the fixed one.

    `passing`: that nobody could look has nothing to do with the text, and may be otherwise in a moment.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    text: str | None = None
    passing: bool = False

    @property
    def why(self) -> str:
        """The reasons as one text."""
        return "; ".join(self.reasons)


class Validator(Protocol):
    """Asks another process. Lives on the event loop."""

    @property
    def seconds(self) -> float:
        """How long an answer may take at most."""
        ...

    @property
    def fails_open(self) -> bool:
        """Whether texts go on that nobody could look at."""
        ...

    async def ask(self, side: Side, texts: Sequence[str]) -> list[Answer]:
        """One answer per text, in order, within `seconds`. Outcomes are values: what is raised is a bug."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
