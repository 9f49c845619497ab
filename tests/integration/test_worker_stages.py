"""Stages on workers of their own: jobs are handed over through the database and a real broker. And jobs put off."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest

from pipelines.guard.stage import GuardStage
from synthralos.domain.attempts import Outcome
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Constraints, Job
from synthralos.domain.states import TERMINAL, Stage, State
from synthralos.store.queue.claims import Claims
from tests.fakes.jobs import new_job
from tests.fakes.stages import with_guard
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, ordered, worker_place


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(job id, stage) of every job that was taken, in order."""
    made: list[tuple[str, str]] = []
    take = Claims.take

    def noting(
        self: Claims, stage: Stage, job_ids: Sequence[str], worker_id: str, *, doubtful: bool = False
    ) -> list[Job]:
        jobs = take(self, stage, job_ids, worker_id, doubtful=doubtful)
        made.extend((job.id, str(stage)) for job in jobs)
        return jobs

    monkeypatch.setattr(Claims, "take", noting)
    return made


class Split:
    """One worker for the stages before a call, one for calls, one for what comes after a failure, one for the rest."""

    def __init__(self, place: WorkerPlace, broker_url: str) -> None:
        for stages in (("heal",), ("analyze",), ("execute",), ("guard", "route")):
            place.worker(worker_stages=stages, broker_url=broker_url, worker_threads=1)


def stages_of(claims: list[tuple[str, str]], job_id: str) -> list[str]:
    return [stage for claimed, stage in claims if claimed == job_id]


def test_a_job_is_handed_from_worker_to_worker(
    place: WorkerPlace, amqp_vhost: str, claims: list[tuple[str, str]]
) -> None:
    Split(place, amqp_vhost)
    smooth, denied = new_job(), new_job("a" * 2_000_000)
    healed, dead, nowhere = ordered("rate_limited"), ordered("invalid_request"), new_job(
        constraints=Constraints(region="mars")
    )  # fmt: skip
    job_ids = place.submit(smooth, denied, healed, dead, nowhere)
    assert place.finished(*job_ids) == [
        State.SUCCEEDED, State.DENIED, State.SUCCEEDED, State.FAILED, State.FAILED,
    ]  # fmt: skip
    place.heard.until(lambda: all(place.store.job(job_id)["analyzed_at"] for job_id in job_ids))
    assert [stages_of(claims, job_id) for job_id in job_ids] == [
        ["guard", "execute"],
        ["guard"],
        ["guard", "execute", "heal", "execute"],
        ["guard", "execute", "heal"],
        ["guard", "heal"],
    ]
    assert [row["outcome"] for row in place.store.attempts(healed.id)] == [Outcome.FAILED, Outcome.SUCCEEDED]
    names = [span["name"] for span in place.store.spans(healed.id)]
    assert names == ["guard", "route", "execute", "heal", "execute", "analyze"]
    assert place.store.job(smooth.id)["failure"] is None


class DeferOnce:
    """Puts every job off for a minute when it sees it first."""

    name = "defer_once"

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """See `Guard.inspect`."""
        found = [
            None if job.id in self.seen else Finding(self.name, Decision.DEFER, "later", defer_seconds=60.0)
            for job in jobs
        ]
        self.seen |= {job.id for job in jobs}
        return list(found)


def test_a_deferred_job_waits_at_guard_and_goes_on_when_its_time_has_come(place: WorkerPlace) -> None:
    place.start(place.core(), with_guard(GuardStage([DeferOnce()])))
    [job_id] = place.submit()
    place.reaches(job_id, State.PARKED)
    parked = place.store.job(job_id)
    assert (parked["stage"], parked["attempts"], parked["verdict"]["decision"]) == (Stage.GUARD, 0, Decision.DEFER)
    assert 50 < (parked["run_at"] - place.store.now()).total_seconds() <= 60
    place.wake(job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert place.store.view(job_id)["verdict"]["decision"] == Decision.ALLOW
    assert [span["name"] for span in place.store.spans(job_id)] == ["guard", "guard", "route", "execute", "analyze"]


class Broken:
    """A guard stage with a bug of its own."""

    def inspect(self, jobs: Sequence[Job]) -> list[Finding]:
        """See `GuardStage.inspect`."""
        raise ZeroDivisionError


def test_a_bug_in_a_stage_makes_a_dead_letter(place: WorkerPlace) -> None:
    place.start(place.core(), with_guard(Broken()))
    job = place.run(new_job())
    assert (job["state"], job["failure"]["class"], job["attempts"]) == (State.FAILED, "internal", 0)


@pytest.mark.parametrize("failures", [[], ["overloaded", "overloaded", "rate_limited"]])
def test_no_attempt_costs_more_than_its_job_allows(place: WorkerPlace, failures: list[str]) -> None:
    place.worker()
    most = Decimal("0.0005")
    options = {"sandbox": {"output_tokens": 100_000, "failures": failures}}
    job = new_job("Write a book.", constraints=Constraints(max_cost=most), provider_options=options)
    [job_id] = place.submit(job)
    while failures and place.store.state(job_id) not in TERMINAL:
        place.heard.until(lambda: place.store.state(job_id) in (State.PARKED, *TERMINAL))
        if place.store.state(job_id) == State.PARKED:
            place.wake(job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    costs = [line["cost_picousd"] for line in place.store.cost_logs(job_id)]
    assert costs[-1] > most / 2
    assert max(costs) <= most
    assert place.store.view(job_id)["result"]["finish_reason"] == "length"
