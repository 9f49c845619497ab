"""Bulk jobs that wait in line: where they stand, and when their turn may come. Nothing is asked where nobody waits."""

from collections.abc import Iterable

from synthralos.control.crowding import Crowding
from synthralos.domain.standing import Standing, expected
from synthralos.domain.states import Lane, State
from synthralos.store.read.jobs import Row
from synthralos.store.read.standing import LinePlaces


class Standings:
    """What a process that shows jobs adds to them. Blocks: for reading threads."""

    def __init__(self, places: LinePlaces, crowding: Crowding) -> None:
        self._places = places
        self._crowding = crowding

    def add(self, rows: Iterable[Row]) -> None:
        """Put the `standing` of those that stand in line into their rows."""
        if not self._crowding.now:
            return
        waiting = {row["id"]: row for row in rows if row["state"] == State.QUEUED and row["lane"] == Lane.BULK}
        for job_id, place in self._places.of(list(waiting)).items():
            pace = self._crowding.pace(place.line)
            waiting[job_id]["standing"] = Standing(place.ahead, expected(place.now, place.ahead, pace))
