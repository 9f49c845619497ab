"""Tells StackStorm what happens: a channel of the feed, whose events become triggers by its generic webhook."""

from collections.abc import Callable, Sequence
from typing import Any

from scheduler.stackstorm.link import TOLD, StackStormLink, Trouble
from synthralos.config.config import Config
from synthralos.domain.delivering import Delivered, Outcome, Refused, Sending, Target, TryAgain
from synthralos.domain.feed import Item
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.repairs import STACKSTORM
from synthralos.domain.triggers import telling, types_of

_FOR_GOOD = (400, 413, 422)
"""Answers about the payload itself: it would be refused again."""


class StackStormTriggers:
    """See `synthralos.domain.delivering.Channel`. Thread-safe; what is told again comes under the same tag."""

    name = STACKSTORM

    def __init__(
        self,
        link: StackStormLink,
        config: Callable[[], Config],
        names: Sequence[str],
        shut: Callable[[], bool] = lambda: False,
    ) -> None:
        """`names` are the triggers that are wanted. `shut`: whether StackStorm gets no calls now."""
        self._link, self._config, self._shut = link, config, shut
        self._names, self._types = frozenset(names), types_of(names)

    def targets(self) -> Sequence[Target]:
        """StackStorm, while it gets calls and anybody has it; else the feed waits for it."""
        on = self._names and not self._shut() and _on(self._config().flags, None)
        return [Target(STACKSTORM, types=self._types)] if on else []

    def deliver(self, sending: Sending) -> Outcome:
        """Tell StackStorm of the event, where it is told of such."""
        told = self.tell(sending.event)
        return Delivered(answer="not told: see STACKSTORM_TRIGGERS, STACKSTORM_RESIDENCY") if told is None else told

    def tell(self, item: Item) -> Outcome | None:
        """Tell of it; None: it is nothing for StackStorm."""
        config = self._config()
        if config.stackstorm is None or not _on(config.flags, item.organization):
            return None
        found = telling(item, config.stackstorm.residency, self._names)
        return None if found is None else self.dispatch(*found)

    def dispatch(self, trigger: str, payload: dict[str, Any], tag: str) -> Outcome:
        """Have the trigger dispatched."""
        failed = self._link.dispatch(trigger, payload, tag)
        if failed is None:
            return Delivered(202)
        reason = f"{TOLD[failed.trouble]}: {failed.detail}"
        if failed.trouble is Trouble.REFUSED and failed.status in _FOR_GOOD:
            return Refused(reason, failed.status)
        return TryAgain(reason, status=failed.status)


def _on(flags: Flags, organization: str | None) -> bool:
    """What concerns the installation is told where the flag is on for anybody."""
    flag = Flag.ENABLE_STACKSTORM
    return flags.anywhere(flag) if organization is None else flags.on(flag, organization)
