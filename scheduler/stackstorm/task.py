"""The thread of the link to StackStorm, put together: made only where settings name one."""

from collections.abc import Callable

from scheduler.delivering.core import Delivering
from scheduler.outages import ResilientTask
from scheduler.rounds import Rounds
from scheduler.stackstorm.breaking import LinkBreaker
from scheduler.stackstorm.incidents import StackStormRepairer
from scheduler.stackstorm.link import StackStormLink, build_link
from scheduler.stackstorm.repairing import Bounds, Repairing
from scheduler.stackstorm.triggers import StackStormTriggers
from scheduler.watched import IDLE
from synthralos.bus.protocol import Topic
from synthralos.control.ringing import ring_for
from synthralos.core import Core
from synthralos.domain.repairs import STACKSTORM
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.queue.incident_repairs import IncidentRepairs
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.repairs import Ended, Repairs
from synthralos.telemetry.families import STACKSTORM_SHUT
from synthralos.telemetry.logs import hide

SENDERS = 4
"""Triggers that are told at once."""

BUSY, PAUSE = 1.0, 0.1
"""Seconds between two rounds while a repair is open, and between any two."""


class StackStormTask:
    """Holds up none of the leader's other tasks, however StackStorm behaves. `start` and `stop` once."""

    def __init__(
        self,
        core: Core,
        link: StackStormLink,
        lead: Callable[[], Lead | None],
        actor: Callable[[], str],
        busy: float = BUSY,
    ) -> None:
        """`lead`: by which lead, if this process has it; `actor`: its id, which goes on record."""
        self._core, self._link, self._busy_pause = core, link, busy
        breaker = LinkBreaker(BreakerStore(core.database), actor, self._tell_of_breaker)
        settings = core.settings
        self.repairing = Repairing(
            Repairs(core.database),
            link,
            breaker,
            lambda: core.live.current,
            Bounds(settings.stackstorm_executions, settings.stackstorm_follow),
            lambda: lead() is not None,
            self._tell,
            core.metrics,
        )
        self.repairer = StackStormRepairer(
            IncidentRepairs(core.database), lambda: core.live.current, lambda: breaker.shut, core.bus
        )
        """Who repairs incidents, for the monitor."""
        core.metrics.reads(STACKSTORM_SHUT, lambda: float(breaker.shut is not None))
        self._safely = ResilientTask("the link to StackStorm", self.repairing.round, core.outages)
        self.triggers = StackStormTriggers(
            link, lambda: core.live.current, settings.stackstorm_triggers, lambda: breaker.shut is not None
        )
        self._delivering = Delivering(core.database, self.triggers, lead, core.outages, core.metrics, threads=SENDERS)
        self._rounds = Rounds(self._round, core.bus, PAUSE, Topic.REPAIRS, "stackstorm")

    def start(self) -> None:
        """Begin; returns at once."""
        self._rounds.start()
        self._delivering.start(self._core.bus)

    def stop(self) -> None:
        """Wait for no answer of StackStorm any more, and begin no other round."""
        self._link.stop()
        self._rounds.stop()
        self._delivering.stop()
        self.repairing.close()

    def _round(self) -> float:
        self._safely()
        return self._busy_pause if self.repairing.busy else IDLE

    def _tell(self, ended: Ended) -> None:
        item = ended.woken
        if item is not None:
            ring_for(self._core.doorbell, [(item.stage, item.lane, item.id)])
            self._core.bus.publish(Topic.CHANGED, [item.id])

    def _tell_of_breaker(self) -> None:
        self._core.bus.publish(Topic.BREAKERS, [STACKSTORM])


def build_stackstorm(core: Core, lead: Callable[[], Lead | None], actor: Callable[[], str]) -> StackStormTask | None:
    """The task of the settings; None where they name no StackStorm. Raises `SettingsError`."""
    link = build_link(core.settings)
    if core.settings.stackstorm_api_key is not None:
        hide([core.settings.stackstorm_api_key.get_secret_value()])
    return None if link is None else StackStormTask(core, link, lead, actor)
