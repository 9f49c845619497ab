"""The monitor, put together once per scheduler process."""

from collections.abc import Callable

from scheduler.monitoring.canary import Canaries
from scheduler.monitoring.follow import Following
from scheduler.monitoring.monitor import Monitoring
from scheduler.monitoring.repairs import Ask, IncidentRepairer, Nobody, OpenBreaker, RingAgain, table_of
from synthralos.control.announcer import Announcer
from synthralos.core import Core
from synthralos.domain.flags import Flag
from synthralos.domain.incidents import Subject
from synthralos.store.admin.baselines import Baselines
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.incidents import IncidentStore
from synthralos.store.admin.organizations import Organizations
from synthralos.store.queue.leading import Lead
from synthralos.store.queue.submissions import Submissions
from synthralos.store.read.alternatives import Alternatives
from synthralos.store.read.backlogs import Backlogs
from synthralos.store.read.call_sums import CallReader
from synthralos.store.read.stuck import StuckReader


def build_monitoring(
    core: Core, lead: Callable[[], Lead | None], repairer: IncidentRepairer | None = None
) -> Monitoring:
    """`lead`: by which lead this process watches, if it leads. `repairer`: who else repairs; nobody, by default."""
    database, settings = core.database, core.settings
    breakers, stuck, incidents = (
        BreakerStore(database),
        StuckReader(database, settings.call_timeout),
        IncidentStore(database),
    )
    repairs = table_of(
        OpenBreaker(breakers, Alternatives(database), core.bus, lambda: core.catalog),
        RingAgain(stuck, core.doorbell, core.bus),
        Ask(repairer or Nobody()),
    )
    return Monitoring(
        CallReader(database),
        Backlogs(database, settings.ring_again_after),
        stuck,
        incidents,
        Baselines(database),
        Following(incidents, repairs, _canaries(core, breakers), settings.monitor_escalate_after),
        core.doorbell,
        lead,
        lambda subject: _wanted(core, subject),
        settings.monitor_share,
        core.metrics,
    )


def _canaries(core: Core, breakers: BreakerStore) -> Canaries | None:
    if not core.settings.monitor_canary:
        return None
    return Canaries(
        breakers,
        Submissions(core.database),
        Organizations(core.database),
        Announcer(core.doorbell),
        lambda: core.catalog,
        core.settings.monitor_canary_organization,
    )


def _wanted(core: Core, subject: Subject) -> bool:
    """An organization that does not have the flag is not watched; the installation is, where anybody has it."""
    flags, flag = core.live.current.flags, Flag.ENABLE_MONITOR
    return flags.anywhere(flag) if subject.organization is None else flags.on(flag, subject.organization)
