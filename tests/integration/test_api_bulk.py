"""Bulk operations: each job that can be is done, each is reported by itself, and nobody else's is touched."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.views import BulkReport
from synthralos.bus.memory import MemoryBus
from synthralos.bus.protocol import Topic
from synthralos.control.operator import Actor, Operator
from synthralos.domain.ids import new_id
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Stage, State, Transition
from synthralos.store.queue.operations import Changed, Operations
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreUnavailable
from tests.fakes.doorbell import RecordingDoorbell
from tests.fakes.jobs import failure
from tests.fakes.stores import Store
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of, submitted

BULK = f"{JOBS}/bulk"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR)


def results(client: httpx.Client, operation: str, *jobs: str) -> list[dict[str, Any]]:
    answer = client.post(BULK, json={"operation": operation, "jobs": list(jobs), "reason": "a test"})
    assert answer.status_code == 200, answer.text
    BulkReport.model_validate_json(answer.content)
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


def test_each_job_that_can_be_is_cancelled_and_each_is_reported(place: Place, client: httpx.Client) -> None:
    waits, over, foreign = submitted(client), submitted(client), submitted(place.client(Role.SERVICE, Scope("other")))
    place.finish(over)
    nobody = new_id()
    found = results(client, "cancel", waits, over, foreign, nobody, "no id at all", waits)
    assert [(r["id"], r["outcome"], r["state"]) for r in found] == [
        (waits, "done", "cancelled"),
        (over, "refused", "succeeded"),
        (foreign, "not_found", None),
        (nobody, "not_found", None),
        ("no id at all", "not_found", None),
    ]
    assert [place.store.state(job_id) for job_id in (waits, over, foreign)] == ["cancelled", "succeeded", "queued"]


def test_dead_letters_are_retried_and_rung_for(place: Place, client: httpx.Client) -> None:
    dead = [submitted(client) for _ in range(120)]
    for job_id in dead:
        place.finish(job_id, Transition.FAIL, failure=failure().to_json())
    before = len(place.doorbell.rung(Stage.GUARD))
    assert {r["outcome"] for r in results(client, "retry", *dead)} == {"done"}
    assert place.doorbell.rung(Stage.GUARD)[before:] == dead
    assert {place.store.state(job_id) for job_id in dead} == {"queued"}


def test_a_service_may_cancel_and_may_not_retry(place: Place) -> None:
    client = place.client(Role.SERVICE)
    job_id = submitted(client)
    assert [r["outcome"] for r in results(client, "cancel", job_id)] == ["done"]
    assert client.post(BULK, json={"operation": "retry", "jobs": [job_id]}).status_code == 403


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"jobs": ["a"]}, "operation"),
        ({"operation": "delete", "jobs": ["a"]}, "operation"),
        ({"operation": "cancel"}, "jobs"),
        ({"operation": "cancel", "jobs": []}, "jobs"),
        ({"operation": "cancel", "jobs": ["a"] * 1001}, "jobs"),
        ({"operation": "cancel", "jobs": [1]}, "jobs[0]"),
        ({"operation": "cancel", "jobs": ["a"], "force": True}, "force"),
    ],
)
def test_what_is_wrong_is_named(client: httpx.Client, document: dict[str, Any], field: str) -> None:
    assert fields_of(client.post(BULK, json=document)) == [field]


class Failing(Operations):
    """The database goes away behind the first operation."""

    def cancel(self, job_id: str, scope: Scope, actor: str, reason: str = "") -> Any:
        if getattr(self, "away", False):
            raise StoreUnavailable("away")
        self.away = True
        return super().cancel(job_id, scope, actor, reason)


def test_what_was_done_before_an_error_is_rung_for_and_told(store: Store, database: Database) -> None:
    first, second = store.submit(), store.submit()
    bell, bus, heard = RecordingDoorbell(), MemoryBus(), []  # type: ignore[var-annotated]
    bus.subscribe(Topic.FINISHED, heard.append)
    operator = Operator(Failing(database), bell, bus)
    with pytest.raises(StoreUnavailable):
        operator.cancel([*first, *second], Actor("ann", EVERYTHING))
    assert bell.rung(Stage.ANALYZE) == first
    assert heard == [first]
    assert [store.state(job_id) for job_id in (*first, *second)] == [State.CANCELLED, State.QUEUED]
    assert isinstance(Operator(Operations(database), bell, bus).cancel(second, Actor("ann", EVERYTHING))[0], Changed)
