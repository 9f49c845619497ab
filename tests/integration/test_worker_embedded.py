"""A whole worker on a real database: what becomes of jobs at every stage, and what is on the books afterwards."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.jobs import Constraints, Tenant
from synthralos.domain.states import Stage, State
from tests.fakes.jobs import new_job
from tests.fakes.openai_process import FakeOpenAIProcess, fake_openai
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, ordered, worker_place


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


@pytest.fixture(scope="module")
def server() -> Iterator[FakeOpenAIProcess]:
    with fake_openai() as server:
        yield server


@pytest.fixture
def fake(server: FakeOpenAIProcess) -> FakeOpenAIProcess:
    server.reset()
    return server


def outcomes(store: Store, job_id: str) -> list[tuple[str, str, str]]:
    return [(row["deployment"], row["outcome"], row["billed"]) for row in store.attempts(job_id)]


def test_a_job_goes_through_all_stages(place: WorkerPlace) -> None:
    place.worker()
    job = place.run(new_job())
    assert (job["state"], job["stage"], job["attempts"]) == (State.SUCCEEDED, Stage.ANALYZE, 1)
    assert job["result"]["deployment"] == "sandbox/small@us"
    assert job["analyzed_at"] is not None
    spans = place.store.spans(job["id"])
    assert [(span["name"], span["status"]) for span in spans] == [
        ("guard", "ok"), ("route", "ok"), ("execute", "ok"), ("analyze", "ok"),
    ]  # fmt: skip
    assert all(earlier["ended_at"] <= later["started_at"] for earlier, later in pairwise(spans))
    [attempt] = place.store.attempts(job["id"])
    assert (attempt["outcome"], attempt["billed"]) == (Outcome.SUCCEEDED, Billed.YES)
    [line] = place.store.cost_logs(job["id"])
    assert line["cost_picousd"] == attempt["cost_picousd"] > 0
    assert place.store.view(job["id"])["cost"] == attempt["cost_picousd"]


def test_a_provider_is_billed_what_the_books_say(place: WorkerPlace, fake: FakeOpenAIProcess) -> None:
    place.worker(deployments_at(fake.base_url, "a"))
    job = place.run(new_job())
    assert job["state"] == State.SUCCEEDED
    [billed] = [call for call in fake.bill() if call["job_id"] == job["id"]]
    [attempt] = place.store.attempts(job["id"])
    assert (attempt["input_tokens"], attempt["output_tokens"]) == (billed["input_tokens"], billed["output_tokens"])
    expected = (Decimal(billed["input_tokens"]) + 2 * Decimal(billed["output_tokens"])) / 1_000_000
    assert place.store.view(job["id"])["cost"] == expected


def test_a_failure_is_followed_by_the_next_deployment_at_once(place: WorkerPlace, fake: FakeOpenAIProcess) -> None:
    fake.behave("a", status=429)
    place.worker(deployments_at(fake.base_url, "a", "b"))
    job = place.run(new_job())
    assert job["state"] == State.SUCCEEDED
    assert outcomes(place.store, job["id"]) == [
        ("fake/a@us", Outcome.FAILED, Billed.NO), ("fake/b@us", Outcome.SUCCEEDED, Billed.YES),
    ]  # fmt: skip
    names = [span["name"] for span in place.store.spans(job["id"])]
    assert names == ["guard", "route", "execute", "heal", "execute", "analyze"]
    [healed] = place.store.events(job["id"])
    assert healed["data"]["treatment"] == "NextDeployment"
    assert [line["attempt_no"] for line in place.store.cost_logs(job["id"])] == [1, 2]


def test_a_wait_that_the_provider_asks_for_parks_the_job_and_it_comes_back(
    place: WorkerPlace, fake: FakeOpenAIProcess
) -> None:
    fake.behave("a", status=503, headers={"Retry-After": "70"}, times=1)
    place.worker(deployments_at(fake.base_url, "a"))
    [job_id] = place.submit()
    place.reaches(job_id, State.PARKED)
    parked = place.store.job(job_id)
    assert parked["stage"] == Stage.EXECUTE
    assert timedelta(seconds=60) < parked["run_at"] - place.store.now() <= timedelta(seconds=70)
    place.wake(job_id)
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert [outcome for _, outcome, _ in outcomes(place.store, job_id)] == [Outcome.FAILED, Outcome.SUCCEEDED]
    assert place.store.job(job_id)["failure"] is None


def test_a_job_without_a_remedy_left_becomes_a_dead_letter(place: WorkerPlace) -> None:
    place.worker()
    job = place.run(ordered("invalid_request"))
    assert (job["state"], job["stage"]) == (State.FAILED, Stage.ANALYZE)
    assert job["failure"]["class"] == "invalid_request"
    assert [span["name"] for span in place.store.spans(job["id"])] == ["guard", "route", "execute", "heal", "analyze"]


def test_a_job_that_no_deployment_may_do_is_a_dead_letter_without_a_call(place: WorkerPlace) -> None:
    place.worker()
    job = place.run(new_job(constraints=Constraints(region="mars")))
    assert (job["state"], job["attempts"]) == (State.FAILED, 0)
    assert place.store.attempts(job["id"]) == []


def test_an_oversized_prompt_is_denied_without_an_attempt(place: WorkerPlace) -> None:
    place.worker()
    job = place.run(new_job("a" * 161_000, tenant=Tenant("acme", account_plan="free")))
    assert (job["state"], job["attempts"], job["plan_key"]) == (State.DENIED, 0, None)
    [finding] = job["verdict"]["findings"]
    assert (finding["guard"], finding["field"]) == ("prompt_size", "messages")
    assert place.store.attempts(job["id"]) == []
    assert [span["name"] for span in place.store.spans(job["id"])] == ["guard", "analyze"]


def test_a_deadline_that_passes_in_a_call_expires_the_job_and_the_call_stays_on_the_books(
    place: WorkerPlace, fake: FakeOpenAIProcess
) -> None:
    fake.behave(hang=True)
    place.worker(deployments_at(fake.base_url, "a", "b"))
    job = place.run(new_job(deadline=place.store.now() + timedelta(seconds=2)))
    assert job["state"] == State.EXPIRED
    assert outcomes(place.store, job["id"]) == [("fake/a@us", Outcome.FAILED, Billed.MAYBE)]
    assert place.store.view(job["id"])["cost_known"] is False
    fake.release()


def test_jobs_of_one_batch_have_fates_of_their_own(place: WorkerPlace) -> None:
    place.worker()
    jobs = [ordered(), ordered("server_error"), ordered("invalid_request"), ordered("content_filtered")]
    jobs += [new_job("a" * 161_000, tenant=Tenant("acme", account_plan="free")), ordered("credential", None)]
    job_ids = place.submit(*jobs)
    place.reaches(job_ids[1], State.PARKED)
    place.wake(job_ids[1])
    assert place.finished(*job_ids) == [
        State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.FAILED, State.DENIED, State.SUCCEEDED,
    ]  # fmt: skip
