"""Limits: what account plans, and single organizations, allow. Operators may change them while everything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from synthralos.domain.account_plans import AccountPlan


class Per(StrEnum):
    """Whose jobs are counted together."""

    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    USER = "user"


class Unit(StrEnum):
    """What is counted: jobs, or the tokens of their prompts and answers."""

    REQUESTS = "requests"
    TOKENS = "tokens"


class Window(StrEnum):
    """The time within which a bucket refills."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Its length."""
        return _SECONDS[self]


_SECONDS = {Window.SECOND: 1, Window.MINUTE: 60, Window.HOUR: 3_600, Window.DAY: 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests or tokens a window: a bucket that holds `limit`, and that refills evenly within the window."""

    per: Per
    unit: Unit
    window: Window
    limit: int

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {"per": str(self.per), "unit": str(self.unit), "window": str(self.window), "limit": self.limit}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Rate":
        """The inverse of `to_json`."""
        return cls(Per(data["per"]), Unit(data["unit"]), Window(data["window"]), int(data["limit"]))

    @property
    def name(self) -> str:
        """What tells it from the other rates of a plan."""
        return f"{self.per} {self.unit} a {self.window}"

    def __str__(self) -> str:
        article = "an" if self.window is Window.HOUR else "a"
        return f"{self.limit:,} {self.unit} {article} {self.window} per {self.per}"


MOST_RATES = len(Per) * len(Unit) * len(Window)
MOST_OF_A_RATE = 1_000_000_000_000

MOST_CHARACTERS, MOST_TOKENS = 8_000_000, 2_000_000
"""No plan may allow more: a larger prompt would not fit into a request body, nor any model's window."""

MOST_WEIGHT = 1_000
MOST_WORKSPACES = 1_000
"""Workspaces of an organization that may have a weight of their own."""

DEFAULT_MAX_WAIT = 86_400.0
LONGEST_WAIT = 31 * 86_400.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What a plan allows: the largest prompt, in characters and in tokens, and the rates of its jobs.

    `max_wait_seconds`: for so long a job waits for its rates at most; one that would have to wait longer is denied.
    `weight`: the organization's share, in tokens, beside those of the others whose bulk jobs wait. `workspace_weights`:
    those of its workspaces in that share, by name; one that is not named has 1.
    """

    prompt_characters: int
    prompt_tokens: int
    max_wait_seconds: float = DEFAULT_MAX_WAIT
    rates: tuple[Rate, ...] = ()
    weight: int = 1
    workspace_weights: Mapping[str, int] = field(default_factory=dict, hash=False)

    def changed(self, changes: Mapping[str, Any]) -> "PlanLimits":
        """These limits with some of them replaced; what is no limit's name is passed over."""
        found = {name: value for name, value in changes.items() if name in LIMIT_NAMES}
        if "rates" in found:
            found["rates"] = rates_of(found["rates"])
        if "workspace_weights" in found:
            found["workspace_weights"] = weights_of(found["workspace_weights"])
        return replace(self, **found)

    def to_json(self) -> dict[str, Any]:
        """The limits by name."""
        return {**asdict(self), "rates": [rate.to_json() for rate in self.rates]}


LIMIT_NAMES = tuple(each.name for each in fields(PlanLimits))


def rates_of(data: Sequence[Mapping[str, Any]]) -> tuple[Rate, ...]:
    """The rates of their stored form; raises `ValueError` where two are of one kind."""
    rates = tuple(Rate.from_json(each) for each in data)
    names = [rate.name for rate in rates]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"there are two limits of {twice}")
    return rates


def weights_of(data: Mapping[str, int]) -> dict[str, int]:
    """Weights by name; raises `ValueError` for one that is none."""
    wrong = next((name for name, weight in data.items() if not 1 <= weight <= MOST_WEIGHT), None)
    if wrong is not None:
        raise ValueError(f"the weight of {wrong} is not from 1 to {MOST_WEIGHT}")
    return dict(data)


DEFAULT_LIMITS: Mapping[str, PlanLimits] = {
    AccountPlan.FREE: PlanLimits(prompt_characters=160_000, prompt_tokens=32_000),
    AccountPlan.PRO: PlanLimits(prompt_characters=1_200_000, prompt_tokens=256_000),
    AccountPlan.ENTERPRISE: PlanLimits(prompt_characters=MOST_CHARACTERS, prompt_tokens=MOST_TOKENS),
}
"""What plans allow where nobody changed it. No rate is limited there."""

DEFAULT_PLAN = AccountPlan.FREE
"""The limits of a plan that is not known: a misspelt plan must not cost more than the smallest."""
