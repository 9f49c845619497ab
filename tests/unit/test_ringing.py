"""One ring for each stage and lane."""

from synthralos.control.ringing import ring_for
from synthralos.domain.states import Lane, Stage
from tests.fakes.doorbell import RecordingDoorbell, Ring


def test_jobs_of_one_stage_and_lane_share_a_ring_in_their_order() -> None:
    bell = RecordingDoorbell()
    ring_for(
        bell,
        [
            (Stage.GUARD, Lane.BULK, "a"),
            (Stage.ANALYZE, Lane.BULK, "b"),
            (Stage.GUARD, Lane.INTERACTIVE, "c"),
            (Stage.GUARD, Lane.BULK, "d"),
        ],
    )
    assert bell.rings == [
        Ring(Stage.GUARD, Lane.BULK, ("a", "d")),
        Ring(Stage.ANALYZE, Lane.BULK, ("b",)),
        Ring(Stage.GUARD, Lane.INTERACTIVE, ("c",)),
    ]


def test_nobody_is_rung_for_nothing() -> None:
    bell = RecordingDoorbell()
    ring_for(bell, [])
    assert bell.rings == []
