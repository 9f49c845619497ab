"""The overview counts what is open, by state, stage and lane, and never the whole of a long queue."""

import pytest

from synthralos.domain.states import Lane, Stage, Transition
from synthralos.store.read import overview
from synthralos.store.sql.database import Database
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stores import Store


def counts(database: Database) -> dict[tuple[str, str, str], int]:
    return {(c.state, c.stage, c.lane): c.jobs for c in overview.read_overview(database).counts}


def test_open_jobs_are_counted_where_they_are(store: Store, database: Database) -> None:
    assert overview.read_overview(database) == overview.Overview([], None, None)
    first, _ = store.submit(new_job(lane=Lane.BULK), new_job(lane=Lane.BULK))
    store.submit(new_job(lane=Lane.INTERACTIVE))
    store.claimed(new_job(lane=Lane.BULK))
    parked = store.claimed(new_job(lane=Lane.BULK))
    store.settle(settlement(parked, Transition.PARK, stage=Stage.EXECUTE))
    assert counts(database) == {
        ("queued", "guard", "bulk"): 2,
        ("queued", "guard", "interactive"): 1,
        ("active", "guard", "bulk"): 1,
        ("parked", "execute", "bulk"): 1,
    }
    oldest = overview.read_overview(database).oldest
    assert oldest is not None
    assert (oldest.id, oldest.state, oldest.stage) == (first, "queued", "guard")
    assert oldest.age >= 0


def test_a_count_is_never_more_than_its_bound(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.submit(*(new_job(lane=Lane.BULK) for _ in range(5)))
    assert [(c.jobs, c.more) for c in overview.read_overview(database).counts] == [(5, False)]
    monkeypatch.setattr(overview, "COUNTED", 4)
    assert [(c.jobs, c.more) for c in overview.read_overview(database).counts] == [(4, True)]
