"""kill -9 the scheduler that leads while schedules fire: another takes over, and no tick is lost or doubled."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from synthralos.domain.schedules import Overlap
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.schedules import Schedules
from synthralos.store.tables import firings, jobs
from tests.fakes.schedules import ANN, schedule
from tests.faults.harness import Site
from tests.faults.harness_leading import the_leader


@pytest.mark.timeout(300)
def test_a_killed_leader_costs_no_tick_and_doubles_none(make_site: Callable[..., Site]) -> None:
    site = make_site()
    kept = Schedules(site.database)
    made = [kept.create(schedule(interval_seconds=1, overlap=Overlap.ALLOW), ANN) for _ in range(20)]
    everybody = [site.scheduler() for _ in range(3)]
    ticks = sa.select(sa.func.count(sa.distinct(firings.c.fire_at)))
    for number in range(2):
        before = site.query(ticks)[0][0]
        site.eventually(lambda before=before: site.query(ticks)[0][0] > before + 2, f"ticks before kill {number}")
        the_leader(site, everybody).kill()
    before = site.query(ticks)[0][0]
    site.eventually(lambda: site.query(ticks)[0][0] > before + 2, "ticks after the last kill")
    for each in made:
        kept.pause(each.id, EVERYTHING, "enough", ANN)
    rows = site.query(sa.select(firings.c.schedule_id, firings.c.fire_at, firings.c.outcome, firings.c.job_ids))
    assert {row.outcome for row in rows} == {"fired"}
    started = Counter(job_id for row in rows for job_id in row.job_ids)
    assert set(started.values()) == {1}
    assert set(started) == {row.id for row in site.query(sa.select(jobs.c.id))}
    for each in made:
        times = sorted(row.fire_at for row in rows if row.schedule_id == each.id)
        assert times == [times[0] + number * timedelta(seconds=1) for number in range(len(times))]
        assert times[0] == each.next_fire_at
