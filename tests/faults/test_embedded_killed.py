"""kill -9 of the embedded system in the middle of its writes, and a restart on the same SQLite file (scenario 12)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from synthralos.domain.states import State
from tests.faults.harness import Site, site

_KILLS, _JOBS = 5, 200


@pytest.fixture
def embedded_site(sqlite_database: str, tmp_path: Path) -> Iterator[Site]:
    with site(sqlite_database, "memory://", tmp_path, port=0, max_losses=_KILLS + 1) as made:
        yield made


def test_kills_in_the_middle_of_writes_lose_nothing(embedded_site: Site) -> None:
    """Each kill comes when calls of the newest jobs have arrived: starts, results and new jobs are being written."""
    system = embedded_site.embedded()
    embedded_site.provider.behave(delay=0.05)
    for number in range(_KILLS):
        with system.client() as client:
            body = [{"model": "fake/small", "prompt": f"Job {n}."} for n in range(_JOBS)]
            answer = client.post("/api/v1/jobs", json=body)
        assert answer.status_code == 202
        embedded_site.accepted += [job["id"] for job in answer.json()["jobs"]]
        embedded_site.provider.wait_for_calls(1 + number * _JOBS + number * 30)
        system.kill()
        system.start()
    embedded_site.check_promises()
    assert embedded_site.states() == {State.SUCCEEDED: _KILLS * _JOBS}


def test_calls_in_flight_at_a_kill_are_on_the_books_after_the_restart(embedded_site: Site) -> None:
    system = embedded_site.embedded()
    embedded_site.provider.behave(hang=True)
    with system.client() as client:
        answer = client.post("/api/v1/jobs", json=[{"model": "fake/small", "prompt": "Hello."}] * 50)
    embedded_site.accepted += [job["id"] for job in answer.json()["jobs"]]
    embedded_site.provider.wait_for_calls(50)
    system.kill()
    embedded_site.provider.reset()
    system.start()
    embedded_site.check_promises()
    assert embedded_site.states() == {State.SUCCEEDED: 50}
    for job_id in embedded_site.accepted:
        assert [(a.outcome, a.billed) for a in embedded_site.attempts(job_id)] == [
            ("lost", "maybe"),
            ("succeeded", "yes"),
        ]


def test_a_result_that_is_written_when_the_kill_comes_is_there_or_lost_as_a_whole(embedded_site: Site) -> None:
    """Killed as soon as the first result can be read: others are being written at that moment."""
    system = embedded_site.embedded()
    with system.client() as client:
        answer = client.post("/api/v1/jobs", json=[{"model": "fake/small", "prompt": "Hello."}] * _JOBS)
    embedded_site.accepted += [job["id"] for job in answer.json()["jobs"]]
    embedded_site.eventually(lambda: embedded_site.states().get(State.SUCCEEDED), "a first result is written")
    system.kill()
    system.start()
    embedded_site.check_promises()
    assert embedded_site.states() == {State.SUCCEEDED: _JOBS}
