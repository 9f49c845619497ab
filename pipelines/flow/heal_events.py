"""The events of healing: what was decided about a failure, and what StackStorm is asked for."""

from collections.abc import Mapping
from typing import Any

from synthralos.domain.events import Event, FailureFields, Healed, RepairAsked
from synthralos.domain.failures import Failure
from synthralos.domain.repairs import NewRepair


def healed(decided: Mapping[str, Any], failure: Failure, attempts: int) -> Event:
    """A remedy was `decided` (its name, the treatment and the reason) for a failure after so many attempts."""
    return Event.of(Healed(**decided, failure=FailureFields(**failure.to_json()), attempts=attempts), "heal")


def asked(repair: NewRepair, attempts: int) -> Event:
    """StackStorm is asked for a repair, or might be."""
    said = RepairAsked(
        repair_id=repair.id, repair_kind=repair.kind, workflow=repair.workflow, state=repair.state,
        reason=repair.reason, until=repair.until, attempts=attempts,
    )  # fmt: skip
    return Event.of(said, "heal")
