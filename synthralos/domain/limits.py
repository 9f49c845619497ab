"""Limits of account plans, as operators may change them while everything runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from synthralos.domain.account_plans import AccountPlan


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """What a plan allows: the largest prompt, in characters and in tokens."""

    prompt_characters: int
    prompt_tokens: int

    def changed(self, changes: Mapping[str, int]) -> "PlanLimits":
        """These limits with some of them replaced; what is no limit's name is passed over."""
        return replace(self, **{name: value for name, value in changes.items() if name in LIMIT_NAMES})

    def to_json(self) -> dict[str, int]:
        """The limits by name."""
        return asdict(self)


LIMIT_NAMES = tuple(each.name for each in fields(PlanLimits))

MOST_CHARACTERS, MOST_TOKENS = 8_000_000, 2_000_000
"""No plan may allow more: a larger prompt would not fit into a request body, nor any model's window."""

DEFAULT_LIMITS: Mapping[str, PlanLimits] = {
    AccountPlan.FREE: PlanLimits(prompt_characters=160_000, prompt_tokens=32_000),
    AccountPlan.PRO: PlanLimits(prompt_characters=1_200_000, prompt_tokens=256_000),
    AccountPlan.ENTERPRISE: PlanLimits(prompt_characters=MOST_CHARACTERS, prompt_tokens=MOST_TOKENS),
}
"""What plans allow where nobody changed it."""

DEFAULT_PLAN = AccountPlan.FREE
"""The limits of a plan that is not known: a misspelt plan must not cost more than the smallest."""
