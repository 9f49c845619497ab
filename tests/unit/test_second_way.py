"""The second way: what nobody came for is rung over the broker, and nothing else is."""

import threading
from collections.abc import Collection, Sequence
from contextlib import closing

from synthralos.control.second_way import SecondWay
from synthralos.domain.ids import new_id
from synthralos.domain.states import Lane, Stage
from tests.fakes.doorbell import RecordingDoorbell

NEVER = 3600.0


def place(stage: Stage = Stage.GUARD, lane: Lane = Lane.INTERACTIVE) -> tuple[Stage, Lane, str]:
    return stage, lane, new_id()


class Database:
    """Says which of the ids that it was asked for are still queued."""

    def __init__(self, queued: Collection[str], fails: bool = False) -> None:
        self.asked: list[list[str]] = []
        self._queued = queued
        self._fails = fails

    def still_queued(self, ids: Sequence[str]) -> Collection[str]:
        self.asked.append(list(ids))
        if self._fails:
            raise ConnectionError("away")
        return [job_id for job_id in ids if job_id in self._queued]


def test_only_those_that_still_wait_are_rung_for() -> None:
    bell, waits, runs = RecordingDoorbell(), place(), place()
    database = Database([waits[2]])
    with closing(SecondWay(bell, database.still_queued, patience=0)) as way:
        way.watch([runs, waits])
        assert bell.wait_for(waits[2], Stage.GUARD)
    assert (bell.rung(), way.rung_ids) == ([waits[2]], 1)


def test_where_the_database_cannot_be_asked_all_are_rung_for() -> None:
    bell, jobs = RecordingDoorbell(), [place(), place(Stage.ROUTE)]
    with closing(SecondWay(bell, Database([], fails=True).still_queued, patience=0)) as way:
        way.watch(jobs)
        for stage, _, job_id in jobs:
            assert bell.wait_for(job_id, stage)


def test_what_was_heard_of_is_neither_asked_for_nor_rung_for() -> None:
    bell, over, waits = RecordingDoorbell(), place(), place()
    database = Database([over[2], waits[2]])
    way = SecondWay(bell, database.still_queued, patience=NEVER)
    way.watch([over, waits])
    way.heard([over[2]])
    way.heard(None)
    way.close()
    assert (bell.rung(), database.asked) == ([waits[2]], [])


def test_what_is_too_much_to_be_watched_is_rung_for_at_once() -> None:
    bell = RecordingDoorbell()
    with closing(SecondWay(bell, Database([]).still_queued, patience=NEVER, limit=1)) as way:
        first, second = place(), place()
        way.watch([first])
        way.watch([second])
        assert bell.rung() == [second[2]]


def test_what_comes_after_the_end_is_rung_for_at_once() -> None:
    bell, late = RecordingDoorbell(), place()
    way = SecondWay(bell, Database([]).still_queued, patience=NEVER)
    way.close()
    way.watch([late])
    assert bell.rung() == [late[2]]


def test_many_threads_may_watch_and_hear_and_none_is_lost() -> None:
    bell, jobs = RecordingDoorbell(), [[place() for _ in range(50)] for _ in range(8)]
    everything = {job_id for some in jobs for _, _, job_id in some}
    kept = {some[0][2] for some in jobs}
    way = SecondWay(bell, Database(everything).still_queued, patience=NEVER)

    def run(some: list[tuple[Stage, Lane, str]]) -> None:
        way.watch(some)
        way.heard([job_id for _, _, job_id in some[1:]])

    threads = [threading.Thread(target=run, args=(some,)) for some in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    way.close()
    assert set(bell.rung()) == kept
