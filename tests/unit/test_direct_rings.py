"""Which worker is rung directly, and when nobody is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from synthralos.control import direct_rings
from synthralos.control.direct_rings import MOST_IDS, DirectRings
from synthralos.control.ring_channels import channel_of, decode_ring, encode_ring
from synthralos.domain.ids import new_id
from synthralos.domain.states import Lane, Stage
from synthralos.store.admin.processes import ProcessRow
from synthralos.store.sql.errors import StoreUnavailable
from synthralos.store.sql.notices import PAYLOAD_BYTES

FRESH = 5.0


def worker(age: float = 0.0, state: str = "running", stages: Any = (Stage.GUARD, Stage.ROUTE)) -> ProcessRow:
    return ProcessRow(new_id(), "worker", "host", 1, state, list(stages), datetime.now(UTC), age)


def knowing(*rows: ProcessRow) -> DirectRings:
    rings = DirectRings(lambda: rows, FRESH)
    rings.look()
    return rings


def places(count: int, stage: Stage = Stage.GUARD) -> list[tuple[Stage, Lane, str]]:
    return [(stage, Lane.INTERACTIVE, new_id()) for _ in range(count)]


def test_workers_are_rung_in_turn() -> None:
    workers = [worker(), worker()]
    rings = knowing(*workers)
    channels = [notice.channel for _ in range(4) for notice in rings.notices(places(1))]
    assert channels == [channel_of(workers[turn % 2].id) for turn in range(4)]


def test_two_hundred_jobs_share_a_ring_and_none_is_left_out() -> None:
    wanted = places(2 * MOST_IDS + 2)
    notices = knowing(worker()).notices(wanted)
    rung = [decode_ring(notice.payload) for notice in notices]
    assert [len(ids) for _, _, ids in rung] == [MOST_IDS, MOST_IDS, 2]
    assert [job_id for _, _, ids in rung for job_id in ids] == [job_id for _, _, job_id in wanted]


def test_each_stage_and_lane_is_rung_by_itself() -> None:
    wanted = [(Stage.GUARD, Lane.INTERACTIVE, "a"), (Stage.ROUTE, Lane.INTERACTIVE, "b"), (Stage.GUARD, Lane.BULK, "c")]
    notices = knowing(worker()).notices(wanted)
    assert [decode_ring(notice.payload) for notice in notices] == [
        (stage, lane, [job_id]) for stage, lane, job_id in wanted
    ]


@pytest.mark.parametrize(
    "row",
    [worker(age=FRESH), worker(state="draining"), worker(stages=[Stage.EXECUTE])],
    ids=["silent", "draining", "another stage"],
)
def test_a_worker_that_may_not_come_is_not_rung(row: ProcessRow) -> None:
    assert knowing(row).notices(places(1)) == []


def test_where_one_stage_has_no_worker_nobody_is_rung_so_that_all_go_over_the_broker() -> None:
    assert knowing(worker(stages=[Stage.GUARD])).notices(places(1) + places(1, Stage.ROUTE)) == []


def test_nothing_is_asked_for_nothing() -> None:
    assert knowing(worker()).notices([]) == []


def test_what_was_seen_is_not_trusted_for_long_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [[worker()]]

    def living() -> list[ProcessRow]:
        if not answers:
            raise StoreUnavailable("away")
        found: list[ProcessRow] = answers.pop()
        return found

    now = 100.0
    monkeypatch.setattr(direct_rings.time, "monotonic", lambda: now)
    rings = DirectRings(living, FRESH)
    rings.look()
    rings.look()
    assert len(rings.notices(places(1))) == 1
    now += 5.1
    assert rings.notices(places(1)) == []


def test_a_closed_one_rings_nobody_and_begins_no_more() -> None:
    looks = []
    rings = DirectRings(lambda: looks.append(1) or [worker()], FRESH)  # type: ignore[func-returns-value]
    rings.start()
    rings.start()
    rings.close()
    assert (rings.notices(places(1)), len(looks)) == ([], 1)
    rings.start()
    assert len(looks) == 1


def test_a_ring_survives_its_journey_and_an_unknown_stage_is_refused() -> None:
    ids = [new_id() for _ in range(MOST_IDS)]
    payload = encode_ring(Stage.EXECUTE, Lane.INTERACTIVE, ids)
    assert decode_ring(payload) == (Stage.EXECUTE, Lane.INTERACTIVE, ids)
    assert len(payload) < PAYLOAD_BYTES
    for nonsense in ("teleport.bulk,x", "guard.slow,x", "guard,x", ""):
        with pytest.raises(ValueError, match="is not a valid"):
            decode_ring(nonsense)
    assert len(channel_of(new_id())) <= 63
