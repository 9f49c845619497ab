"""Workers that are killed while they ship to RudderStack: every event arrives, and none under a second id."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from synthralos.domain.attempts import Billed
from synthralos.domain.states import State
from synthralos.store.tables import all_attempts, export_backlog
from tests.fakes.data_plane import WRITE_KEY, DataPlane, Event, data_plane
from tests.fakes.scripted_server import Answer
from tests.faults.harness import Site

JOBS = 60


class Held:
    """Lets some requests through, then holds the next one: what is in it is kept, and nobody is told."""

    def __init__(self, plane: DataPlane, through: int) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        self.kept: set[str] = set()
        self._plane, self._left = plane, through

    def __call__(self, events: Sequence[Event]) -> Answer | None:
        self._left -= 1
        if self._left == -1:
            for event in events:
                self._plane.kept.setdefault(event["messageId"], event)
                self.kept.add(event["messageId"])
            self.reached.set()
            self.released.wait(60)
        return None


def come_due(site: Site) -> None:
    """As if the lease of the killed worker had passed."""
    with site.database.transaction() as connection:
        connection.execute(sa.update(export_backlog).values(next_at=None))


def owed(site: Site) -> int:
    with site.database.snapshot() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(export_backlog)).scalar_one())


def billed(site: Site) -> int:
    counted = sa.select(sa.func.count()).where(all_attempts.c.billed != Billed.NO)
    with site.database.snapshot() as connection:
        return int(connection.execute(counted).scalar_one())


def test_a_worker_killed_while_it_ships_loses_no_event_and_doubles_none(make_site: Callable[..., Site]) -> None:
    with data_plane() as plane:
        settings = {"rudderstack_write_key": WRITE_KEY, "rudderstack_data_plane_url": plane.url}
        site = make_site(**settings)
        site.scheduler()
        doomed = site.worker(rudderstack_batch_size=7)
        plane.whim = held = Held(plane, through=3)
        job_ids = site.submit(JOBS)
        assert held.reached.wait(60)
        doomed.kill()
        held.released.set()
        plane.whim = lambda events: None
        come_due(site)
        site.worker()
        site.check_promises()
        plane.until(lambda: plane.jobs() == set(job_ids), 60)
        site.eventually(lambda: owed(site) == 0, "nothing is owed")
        assert site.states() == {State.SUCCEEDED: JOBS}
        assert Counter(event["properties"]["job_id"] for event in plane.named("Job Ended")) == Counter(job_ids)
        assert len(plane.named("Model Cost Logged")) == billed(site)
        again = {event["messageId"] for event in plane.seen}
        assert held.kept <= again, "what nobody was told of came again, and was kept once"
