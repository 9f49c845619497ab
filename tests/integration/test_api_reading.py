"""Reading jobs: what is shown, how one waits for it, and how lists are filtered and paged through."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest

from api.v1.views import JobPage, JobView
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Written
from synthralos.store.sql.database import Database
from tests.fakes.jobs import failure, settlement
from tests.fakes.plain_http import NO_TLS
from tests.integration.api_place import JOBS, RESULT, TRACES, Place, api_over, core_over, meanwhile, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client(Role.SERVICE)


def test_a_finished_job_shows_its_result_and_its_cost(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client, metadata={"a": "b"}, constraints={"max_cost_usd": "0.5"})
    place.finish(job_id)
    view = client.get(f"{JOBS}/{job_id}").json()
    JobView.model_validate_json(client.get(f"{JOBS}/{job_id}").content)
    assert (view["state"], view["stage"], view["attempts"]) == ("succeeded", "analyze", 1)
    assert view["result"] == RESULT
    assert view["cost"] == {"usd": "0.0004425", "known": True, "maybe_billed_attempts": 0}
    assert view["request"]["messages"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert view["constraints"]["max_cost_usd"] == "0.5"
    assert view["finished_at"].endswith("Z")
    assert datetime.fromisoformat(view["created_at"]) <= datetime.fromisoformat(view["finished_at"])


def test_a_failed_job_shows_why(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    [job] = place.store.claim([job_id])
    assert place.store.settle(settlement(job, Transition.FAIL, failure=failure().to_json()))
    view = client.get(f"{JOBS}/{job_id}").json()
    assert (view["state"], view["result"], view["failure"]["class"]) == ("failed", None, "server_error")


def test_who_waits_is_woken_by_the_event(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)

    def finish() -> None:
        place.await_waits()
        place.finish(job_id)

    # Nobody looks by himself for an hour here, so nothing but the event can end the wait before its time.
    with meanwhile(finish):
        view = client.get(f"{JOBS}/{job_id}", params={"wait": 60}).json()
    assert view["state"] == "succeeded"


def test_many_who_wait_are_woken_without_another_look(place: Place, client: httpx.Client) -> None:
    job_ids = [submitted(client) for _ in range(20)]
    secret = place.key(Role.VIEWER)

    def wait_for(job_id: str) -> str:
        with httpx.Client(
            verify=NO_TLS, base_url=place.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60
        ) as reader:
            return str(reader.get(f"{JOBS}/{job_id}", params={"wait": 50}).json()["state"])

    with ThreadPoolExecutor(len(job_ids)) as threads:
        answers = threads.map(wait_for, job_ids)
        place.await_waits(len(job_ids))
        before = place.waiters.rounds
        ended = [settlement(job, result=RESULT) for job in place.store.claim(job_ids)]
        assert set(place.store.settlements.settle(ended)) == {Written.DONE}
        place.core.bus.publish(Topic.FINISHED, job_ids)
        assert set(answers) == {"succeeded"}
    assert place.waiters.rounds == before
    assert place.waiters.waiting == 0


def test_a_wait_ends_when_its_time_is_over(client: httpx.Client) -> None:
    job_id = submitted(client)
    answer = client.get(f"{JOBS}/{job_id}", params={"wait": 0.05})
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")


def test_a_lost_event_costs_a_look_and_not_the_result(database: Database) -> None:
    with api_over(core_over(database), poll_seconds=0.1) as place:
        client = place.client(Role.SERVICE)
        job_id = submitted(client)

        def finish_silently() -> None:
            place.await_waits()
            [job] = place.store.claim([job_id])
            place.store.settle(settlement(job, result=RESULT))

        with meanwhile(finish_silently):
            view = client.get(f"{JOBS}/{job_id}", params={"wait": 60}).json()
    assert view["state"] == "succeeded"


def test_a_server_that_stops_lets_those_go_who_wait(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)

    def stop() -> None:
        place.await_waits()
        place.server.stop()

    with meanwhile(stop):
        answer = client.get(f"{JOBS}/{job_id}", params={"wait": 120})
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")


def test_a_list_goes_from_the_newest_to_the_oldest_page_by_page(place: Place, client: httpx.Client) -> None:
    job_ids = [submitted(client) for _ in range(7)]
    seen: list[str] = []
    cursor, pages = None, 0
    while cursor is not None or not pages:
        answer = client.get(JOBS, params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
        JobPage.model_validate_json(answer.content)
        seen += [job["id"] for job in answer.json()["jobs"]]
        cursor, pages = answer.json()["next"], pages + 1
    assert (seen, pages) == (job_ids[::-1], 3)


def test_every_filter_narrows_the_list(place: Place) -> None:
    client = place.client(Role.SERVICE, EVERYTHING)
    plain = submitted(client)
    special = submitted(
        client, model="sandbox/small", lane="bulk", workspace="main", user="ann", run_id="run-1", organization="acme"
    )
    place.finish(special)
    view = client.get(f"{JOBS}/{special}").json()
    only_special: list[dict[str, Any]] = [
        {"state": ["succeeded", "failed"]},
        {"stage": "analyze"},
        {"model": "sandbox/small"},
        {"lane": "bulk"},
        {"workspace": "main"},
        {"user": "ann"},
        {"run_id": "run-1"},
        {"trace_id": view["trace_id"]},
        {"created_after": view["created_at"]},
    ]
    for filters in only_special:
        assert [job["id"] for job in client.get(JOBS, params=filters).json()["jobs"]] == [special], filters
    before = client.get(JOBS, params={"created_before": view["created_at"]}).json()["jobs"]
    assert special not in [job["id"] for job in before]
    assert client.get(JOBS, params={"state": "failed"}).json() == {"jobs": [], "next": None}
    assert {job["id"] for job in client.get(JOBS).json()["jobs"]} == {plain, special}
    assert place.store.job(plain)["stage"] == Stage.GUARD


def test_an_id_that_is_none_is_a_404(client: httpx.Client) -> None:
    for job_id in ("nonsense", "0" * 36, "00000000-0000-7000-8000-000000000000", "%00", "é" * 36):
        for path in (f"{JOBS}/{job_id}", f"{JOBS}/{job_id}/events", f"{TRACES}/{job_id}"):
            assert client.get(path).status_code == 404
