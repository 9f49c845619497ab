"""Tells StackStorm what happens: its triggers, dispatched by its generic webhook."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scheduler.stackstorm.link import StackStormLink, Trouble
from synthralos.config.config import Config
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.triggers import Happened, telling

_FOR_GOOD = (400, 413, 422)
"""Answers about the payload itself: it would be refused again."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """StackStorm took it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """StackStorm will never take this one: its trigger has another schema, say."""

    reason: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It did not take it now. `after`: seconds; None: as the backoff says."""

    reason: str
    after: float | None = None
    status: int | None = None


Outcome = Delivered | Refused | TryAgain


class StackStormTriggers:
    """Blocks for the link's time-out at most. Thread-safe. What is told is repeated under the same tag."""

    def __init__(self, link: StackStormLink, config: Callable[[], Config], names: frozenset[str]) -> None:
        """`names` are the triggers that are wanted."""
        self._link, self._config, self._names = link, config, names

    def tell(self, happened: Happened) -> Outcome | None:
        """Tell of it; None: it is nothing for StackStorm."""
        config = self._config()
        if config.stackstorm is None or not _on(config.flags, happened.organization):
            return None
        found = telling(happened, config.stackstorm.residency, self._names)
        return None if found is None else self.deliver(*found)

    def deliver(self, trigger: str, payload: dict[str, Any], tag: str) -> Outcome:
        """Have the trigger dispatched."""
        failed = self._link.dispatch(trigger, payload, tag)
        if failed is None:
            return Delivered()
        if failed.trouble is Trouble.REFUSED and failed.status in _FOR_GOOD:
            return Refused(failed.detail, failed.status)
        return TryAgain(failed.detail, status=failed.status)


def _on(flags: Flags, organization: str | None) -> bool:
    """What concerns the installation is told where the flag is on for anybody."""
    if organization is None:
        state = flags.state(Flag.ENABLE_STACKSTORM)
        return state.enabled and state.percentage > 0
    return flags.on(Flag.ENABLE_STACKSTORM, organization)
