"""Which of several schedulers leads."""

import sqlalchemy as sa

from synthralos.store.sql.types import utcnow
from synthralos.store.tables import leaders, processes
from tests.faults.harness import Site
from tests.faults.harness_processes import Scheduler


def leading(site: Site) -> int | None:
    """The pid of the scheduler that leads now."""
    held = sa.select(processes.c.pid).join(leaders, leaders.c.holder == processes.c.id)
    found = site.query(held.where(leaders.c.until > utcnow()))
    return found[0].pid if found else None


def the_leader(site: Site, everybody: list[Scheduler]) -> Scheduler:
    """The scheduler that leads, as soon as one does."""

    def found() -> Scheduler | None:
        pid = leading(site)
        return next((each for each in everybody if each.runs() and each.pid == pid), None)

    led: Scheduler = site.eventually(found, "one of the schedulers leads")
    return led
