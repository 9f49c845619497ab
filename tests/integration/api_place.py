"""The API on a real socket over a real database, and the short ways in which its tests use it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import dramatiq
import httpx
from dramatiq.brokers.stub import StubBroker

from api.live.waiting import JobState
from api.process import ApiServer
from api.room import Seen
from pipelines.execute.stage import result_json
from pipelines.providers.table import check_deployment
from synthralos.bus.build import build_bus
from synthralos.bus.protocol import Topic
from synthralos.config.settings import Settings
from synthralos.core import Core, direct_rings
from synthralos.domain.attempts import Reply
from synthralos.domain.jobs import Job
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import Transition
from synthralos.domain.writes import Written
from synthralos.live_config import KeptConfig
from synthralos.store.admin.configuration import Configuration
from synthralos.store.admin.keys import Keys
from synthralos.store.sql.database import Database
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import USAGE, attempt_end, deployment, settlement, start
from tests.fakes.plain_http import NO_TLS
from tests.fakes.stores import Store

ACME = Scope("acme")
NEVER = 3600.0
"""Seconds between looks of those who wait: so long that only an event can wake them."""

JOBS = "/api/v1/jobs"
TRACES = "/api/v1/observability/traces"
RESULT = result_json(deployment(), Reply("Paris", USAGE, "stop", "small"))


def core_over(database: Database, **settings: Any) -> Core:
    """A core whose doorbell is a record. Its database stays the caller's."""
    url = database.url.render_as_string(hide_password=False)
    chosen = Settings(database_url=url, sandbox="on", **settings)
    broker: dramatiq.Broker = StubBroker(middleware=[])
    live = KeptConfig(chosen, {}, Configuration(database), check_deployment, NEVER)
    direct = direct_rings(database, chosen)
    return Core(chosen, database, build_bus(database), broker, RecordingDoorbell(), live, direct=direct)


class Place:
    """One API server. `store` does what workers would do.

    `looks` is released once for every job that somebody who waits has looked at.
    """

    def __init__(self, core: Core, server: ApiServer) -> None:
        self.core = core
        self.server = server
        self.url = server.url
        self.waiters = server.room.waiters
        self.waits = threading.Semaphore(0)
        self._note_waits()
        self.looks = threading.Semaphore(0)
        self._note_looks()
        self.store = Store(core.database)
        self.keys = Keys(core.database)
        self._closing = ExitStack()

    @property
    def doorbell(self) -> RecordingDoorbell:
        """What was rung."""
        assert isinstance(self.core.doorbell, RecordingDoorbell)
        return self.core.doorbell

    def key(self, role: Role = Role.ADMIN, scope: Scope = ACME, plan: str | None = None) -> str:
        """A new key."""
        return self.keys.create("test", role, scope, plan)[0]

    def client(self, role: Role = Role.ADMIN, scope: Scope = ACME, plan: str | None = None) -> httpx.Client:
        """A client with a new key."""
        return self.client_with(self.key(role, scope, plan))

    def client_with(self, secret: str | None) -> httpx.Client:
        """A client with this key, or with none."""
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        return self._closing.enter_context(httpx.Client(verify=NO_TLS, base_url=self.url, headers=headers, timeout=60))

    def started(self, job_id: str) -> Job:
        """The job, claimed by a worker, with its first attempt under way."""
        [job] = self.store.claim([job_id])
        assert self.store.settlements.start([start(job)]) == [Written.DONE]
        return job

    def finish(self, job_id: str, transition: Transition = Transition.SUCCEED, **more: Any) -> None:
        """Bring the job to its end as a worker would, and tell the bus."""
        job = self.started(job_id)
        result = RESULT if transition is Transition.SUCCEED else None
        done = settlement(job, transition, attempt=attempt_end(1), result=result, analyzed=True, **more)
        assert self.store.settle(done)
        self.core.bus.publish(Topic.FINISHED, [job_id])

    def await_waits(self, count: int = 1) -> None:
        """Return when so many wait for a job's end: from then on an event wakes them."""
        for _ in range(count):
            assert self.waits.acquire(timeout=30)

    def await_looks(self, count: int = 1) -> None:
        """Return when those who follow a job have looked that often: from then on an event wakes them."""
        for _ in range(count):
            assert self.looks.acquire(timeout=30)

    def _note_looks(self) -> None:
        look_up = self.waiters._look_up

        async def noting(job_ids: Sequence[str]) -> dict[str, JobState]:
            found = await look_up(job_ids)
            self.looks.release(len(job_ids))
            return found

        self.waiters._look_up = noting

    def _note_waits(self) -> None:
        until = self.waiters._until

        async def noting(waiter: Any, seconds: float) -> Seen | None:
            if waiter.seen is None:
                self.waits.release()
            return await until(waiter, seconds)

        self.waiters._until = noting

    def close(self) -> None:
        """Close the clients."""
        self._closing.close()


@contextmanager
def api_over(core: Core, *, poll_seconds: float = NEVER, shortcut: bool = True) -> Iterator[Place]:
    """The API served over `core`, which is closed at the end but for its database."""
    server = ApiServer(core, "127.0.0.1", 0, poll_seconds=poll_seconds, shortcut=shortcut)
    server.start()
    place = Place(core, server)
    try:
        yield place
    finally:
        place.close()
        server.stop()
        if core.direct is not None:
            core.direct.close()
        core.live.close()
        core.bus.close()


def submitted(client: httpx.Client, **fields: Any) -> str:
    """The id of a job that was just submitted."""
    answer = client.post(JOBS, json={"prompt": "What is the capital of France?", **fields})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def fields_of(answer: httpx.Response) -> list[str]:
    """The fields that a problem document complains of."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    return [error["field"] for error in document["errors"]]


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread, and have it done without an error at the end."""
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(act)
        yield
        done.result()
