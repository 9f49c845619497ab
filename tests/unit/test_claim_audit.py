"""The audit of a worker's claims: what it forgot is given back, what it lost is cut, either on the second look."""

import asyncio
from collections.abc import Sequence

from pipelines.flow.registry import Key, Registry, RunningJob
from pipelines.flow.work import Work
from synthralos.domain.jobs import Claim
from synthralos.domain.states import Lane, Stage
from tests.fakes.stage_jobs import NOON, a_job
from workers.claim_audit import ClaimAudit


class Held:
    """A store in which one worker holds claims."""

    def __init__(self) -> None:
        self.claims: set[Key] = set()
        self.given_back: list[Key] = []

    def active(self, worker_id: str) -> list[Key]:
        """See `Claims.active`."""
        assert worker_id == "me"
        return sorted(self.claims)

    def give_back(self, worker_id: str, claims: Sequence[Key]) -> list[tuple[str, Stage, Lane]]:
        """See `Claims.give_back`."""
        self.given_back += claims
        self.claims -= set(claims)
        return [(job_id, Stage.EXECUTE, Lane.BULK) for job_id, _ in claims]


class Place:
    """A worker with its registry, the store, and what was rung."""

    def __init__(self) -> None:
        self.held, self.registry = Held(), Registry()
        self.rung: list[tuple[Stage, Lane, list[str]]] = []
        self.audit = ClaimAudit(self.held, self.registry, lambda: "me", self._ring)

    def runs(self, *, held: bool = True) -> RunningJob:
        """A job that is under way."""
        job = a_job()
        job.claim = Claim("me", 1, held=held)
        running = self.registry.enter(Work(job, NOON))
        assert running is not None
        if held:
            self.held.claims.add(running.work.key)
        return running

    def look(self, times: int = 1) -> None:
        """So many rounds."""
        for _ in range(times):
            asyncio.run(self.audit.round())

    def _ring(self, stage: Stage, lane: Lane, ids: Sequence[str]) -> None:
        self.rung.append((stage, lane, list(ids)))


def test_a_job_that_is_held_and_forgotten_is_given_back_and_rung_for() -> None:
    place = Place()
    place.held.claims.add(("forgotten", 3))
    place.look()
    assert place.held.given_back == []
    place.look()
    assert place.held.given_back == [("forgotten", 3)]
    assert place.rung == [(Stage.EXECUTE, Lane.BULK, ["forgotten"])]
    place.look(2)
    assert len(place.rung) == 1


def test_what_is_under_way_stays_however_long_it_takes() -> None:
    place = Place()
    running = place.runs()
    place.look(3)
    assert (place.held.given_back, running.is_cut) == ([], False)


def test_a_job_that_is_still_in_its_first_stages_is_not_forgotten() -> None:
    place, job = Place(), a_job()
    place.registry.taken([Work(job, NOON)])
    place.held.claims.add((job.id, 1))
    place.look(3)
    assert place.held.given_back == []


def test_another_claim_of_a_job_that_is_under_way_is_another() -> None:
    place = Place()
    running = place.runs()
    older = (running.work.job.id, 0)
    place.held.claims.add(older)
    place.look(2)
    assert (place.held.given_back, running.is_cut) == ([older], False)


def test_what_is_seen_once_may_have_been_about_to_be_written() -> None:
    place = Place()
    place.held.claims.add(("settling", 1))
    place.look()
    place.held.claims.clear()
    place.look()
    place.held.claims.add(("settling", 2))
    place.look()
    assert place.held.given_back == []


def test_a_call_whose_claim_is_lost_is_cut_on_the_second_look() -> None:
    place = Place()
    running = place.runs()
    place.held.claims.clear()
    place.look()
    assert not running.is_cut
    place.look()
    assert running.is_cut


def test_a_job_that_was_only_read_is_not_held_and_not_cut() -> None:
    place = Place()
    running = place.runs(held=False)
    place.look(3)
    assert not running.is_cut
