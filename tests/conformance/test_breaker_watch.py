"""What a worker found about breakers reaches the store, whatever the database does meanwhile."""

import threading

import sqlalchemy as sa

from pipelines.flow.breakers import Report, Said
from synthralos.bus.memory import MemoryBus
from synthralos.domain.breakers import Breaker, BreakerState
from synthralos.domain.deployments import Catalog
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreUnavailable
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import breakers
from workers.breaking import BreakerWatch

PROBED, FAILED, WAITING = "fake/probed@us", "fake/failed@us", "fake/waiting@us"


class _BreaksOff(BreakerStore):
    """Loses its database once, at the first breaker that is reported broken."""

    lost = False

    def broken(self, name: str, reason: str, actor: str) -> Breaker:
        if not self.lost:
            self.lost = True
            raise StoreUnavailable("away")
        return super().broken(name, reason, actor)


def test_where_the_database_breaks_off_the_rest_is_written_later_and_probes_are_given_back(database: Database) -> None:
    BreakerStore(database).broken(PROBED, "away", "a")
    with database.transaction() as connection:
        connection.execute(sa.update(breakers).values(until=utcnow()))
    store, told = _BreaksOff(database), threading.Event()
    watch = BreakerWatch(
        store, MemoryBus(), lambda *_: told.set(), lambda: "a", lambda: Catalog([]), 1.0, every=0.01
    )  # fmt: skip
    for said, name in ((Said.WANTED, PROBED), (Said.BROKEN, FAILED), (Said.BROKEN, WAITING)):
        watch.report(Report(said, name, "away"))
    watch.start()
    try:
        assert told.wait(30)
    finally:
        watch.stop()
    assert store.lost
    found = {each.name: each for each in store.shut()[0]}
    assert {name: each.state for name, each in found.items()} == {
        PROBED: BreakerState.HALF_OPEN,
        FAILED: BreakerState.OPEN,
        WAITING: BreakerState.OPEN,
    }
    assert found[PROBED].claimed == 0
