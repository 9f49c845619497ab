"""Waiting for one job and for many."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from synthralos_client import AsyncClient, Client, Job, WaitTimeout
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server


class Jobs:
    """A script by which a job is done once it was asked for `patience[id]` times (1 unless said otherwise)."""

    def __init__(self, patience: dict[str, int]) -> None:
        self.patience = patience
        self.seen: Counter[str] = Counter()
        self.finished: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Answer:
        job_id = asked.path.rpartition("/")[2]
        with self._lock:
            self.seen[job_id] += 1
            done = self.seen[job_id] >= self.patience.get(job_id, 1)
            if done:
                self.finished.append(job_id)
        return Answer(200, {"id": job_id, "state": "succeeded" if done else "active"})


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(server.url, "sk-syn-test") as running:
        yield running


def test_waiting_asks_again_until_the_job_is_done(server: ScriptedServer, client: Client) -> None:
    server.script = Jobs({"j1": 3})
    assert client.wait("j1").state == "succeeded"
    assert len(server.asked) == 3
    assert all(float(asked.query["wait"]) > 1 for asked in server.asked)


def test_a_job_that_is_not_done_in_time_is_told_as_it_was_last_seen(server: ScriptedServer, client: Client) -> None:
    server.script = Jobs({"j1": 1000})
    with pytest.raises(WaitTimeout) as raised:
        client.wait("j1", timeout=0.3)
    job = raised.value.jobs["j1"]
    assert job is not None
    assert job.state == "active"


def test_no_time_at_all_still_looks_once(server: ScriptedServer, client: Client) -> None:
    server.script = Jobs({})
    assert client.wait("j1", timeout=0).done
    assert [job.id for job in client.wait_many(["a", "b"], timeout=0)] == ["a", "b"]


def test_many_jobs_come_back_in_the_order_they_were_asked_for(server: ScriptedServer, client: Client) -> None:
    server.script = Jobs({"j2": 3, "j0": 2})
    steps: list[tuple[str, int, int]] = []
    done = client.wait_many((f"j{n}" for n in range(5)), on_progress=lambda job, n, of: steps.append((job.id, n, of)))
    assert [job.id for job in done] == ["j0", "j1", "j2", "j3", "j4"]
    assert [(n, of) for _, n, of in steps] == [(n, 5) for n in range(1, 6)]
    assert steps[-1][0] == "j2"


def test_hundreds_of_jobs_cost_one_request_each(server: ScriptedServer, client: Client) -> None:
    server.script = Jobs({})
    assert len(client.wait_many(f"j{n}" for n in range(400))) == 400
    assert len(server.asked) == 400


def test_slow_jobs_at_the_front_do_not_hide_finished_ones(server: ScriptedServer, client: Client) -> None:
    jobs = Jobs({f"j{n}": 2 for n in range(60)})
    server.script = jobs
    client.wait_many([f"j{n}" for n in range(200)])
    assert set(jobs.finished[:100]) <= {f"j{n}" for n in range(60, 200)}


def test_the_jobs_that_are_still_open_are_told_when_time_is_over(server: ScriptedServer, client: Client) -> None:
    server.script = Jobs({"j3": 1000})
    with pytest.raises(WaitTimeout) as raised:
        client.wait_many([f"j{n}" for n in range(5)], timeout=0.3)
    assert list(raised.value.jobs) == ["j3"]


def test_an_error_while_waiting_for_many_is_raised(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(Answer(404, {"title": "no such job"}))
    with pytest.raises(Exception, match="no such job"):
        client.wait_many(["j1", "j2"])


def test_leaving_early_ends_all_waiting(server: ScriptedServer, client: Client) -> None:
    held = threading.Event()

    def script(asked: Asked) -> Answer:
        if asked.path.endswith("j0"):
            return Answer(200, {"id": "j0", "state": "succeeded"})
        held.wait()
        return Answer(200, {"id": "j1", "state": "succeeded"})

    def leave(job: Job, done: int, total: int) -> None:
        raise KeyboardInterrupt

    server.script = script
    try:
        with pytest.raises(KeyboardInterrupt):
            client.wait_many(["j1", "j0"], on_progress=leave)
        assert "synthralos-client" not in {thread.name for thread in threading.enumerate()}
    finally:
        held.set()


def test_the_sync_client_waits_for_many_inside_a_running_loop(server: ScriptedServer, client: Client) -> None:
    server.script = Jobs({})

    async def main() -> list[Job]:
        return client.wait_many(["j1", "j2"])

    assert len(asyncio.run(main())) == 2


def test_the_async_client_waits_for_many(server: ScriptedServer) -> None:
    server.script = Jobs({"j1": 2})

    async def main() -> list[Job]:
        async with AsyncClient(server.url, "sk-syn-test") as client:
            return await client.wait_many(["j1", "j2"])

    assert [job.id for job in asyncio.run(main())] == ["j1", "j2"]
