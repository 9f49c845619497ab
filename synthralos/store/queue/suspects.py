"""What becomes of jobs whose worker died: which may have taken it down, and how it is found out which one did."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from synthralos.domain.states import Transition, target

_SPREAD, _PATIENCE, _LONGEST_SPREAD = 12.0, 3, 300.0
"""Seconds over which suspects are spread: longer than a worker takes to be started again, and short enough that nobody
waits for long. A job that was lost that many times more than allowed has found no worker alone: a start must take
longer than that. From then on each loss doubles the seconds, up to the last figure."""


def fates_of(orphans: Sequence[sa.Row[Any, Any, Any]], max_losses: int) -> list[dict[str, Any]]:
    """What becomes of jobs that were lost with their workers.

    Of several suspects the one that was lost most often is called first, others in any order: the fewer are under way
    when the worker dies again, the sooner one is alone.
    """
    suspects = Counter(row.worker_id for row in orphans if row.losses + 1 >= max_losses)
    # One spread for all suspects of a worker: with spreads of their own, two of unlike losses may come due together.
    spreads: dict[str, float] = {}
    for row in orphans:
        spreads[row.worker_id] = max(spreads.get(row.worker_id, 0.0), _spread(row.losses + 1 - max_losses))
    ranks: Counter[str] = Counter()
    fates: list[dict[str, Any]] = []
    for row in sorted(orphans, key=lambda row: (-row.losses, random.random())):
        transition, delay, excess = Transition.RESCUE, None, row.losses + 1 - max_losses
        if excess >= 0:
            together = suspects[row.worker_id]
            ranks[row.worker_id] += 1
            transition = Transition.BURY if together == 1 else Transition.ISOLATE
            delay = None if together == 1 else spreads[row.worker_id] * ranks[row.worker_id] / together
        fates.append({"id": row.id, "state": target(transition), "delay": delay, "losses": row.losses + 1})
    return fates


def _spread(excess: int) -> float:
    return min(_SPREAD * 2.0 ** max(0, min(excess, 10) - _PATIENCE), _LONGEST_SPREAD)
