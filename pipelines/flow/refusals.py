"""What a job does whose call a budget, a cap of its run, or a full deployment has no room for."""

import random

from synthralos.domain.budgets import AtLimit
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.writes import Refused

LOOK_AGAIN = 600.0
"""Seconds after which a job that waits for its budget's next period looks again: it may have been raised."""

_SPREAD = 5.0
"""Seconds over which those who wait for the same moment come back."""

_PAUSE = (0.5, 2.0)
"""Seconds that a job is parked for where its deployment is full."""

_LONGEST_PAUSES = 4
"""How often the pause doubles: a crowd that waits for one deployment must not keep the database busy."""


def pause(claim_no: int) -> float:
    """Seconds until a job under its so-manieth claim looks again whether others left room; longer each time."""
    return random.uniform(*_PAUSE) * 2.0 ** min(claim_no - 1, _LONGEST_PAUSES)


def failure_of(refused: Refused) -> Failure:
    """What a job fails with whose start was refused."""
    return Failure(FailureClass.BUDGET, refused.message or f"the budget {refused.budget} {refused.why}")


def seconds_to_wait(refused: Refused, moment: float, left: float) -> float | None:
    """Seconds that the job is parked for, `left` at most; None where it does not wait.

    Where calls under way have only to be settled, `moment`; else until the next period, where the budget lets it wait.
    """
    if not refused.full:
        return moment
    if refused.at_limit is AtLimit.PARK and refused.seconds is not None:
        return min(refused.seconds + random.uniform(0, _SPREAD), LOOK_AGAIN, left)
    return None
