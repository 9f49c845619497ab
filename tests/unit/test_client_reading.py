"""What the client makes of answers: jobs, listings, errors."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from synthralos_client import (
    ApiError,
    AuthenticationError,
    Client,
    Conflict,
    InvalidRequest,
    Job,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
)
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server

VIEW = {
    "id": "j1",
    "state": "succeeded",
    "trace_id": "t1",
    "attempts": 2,
    "created_at": "2030-01-02T03:04:05.123456Z",
    "finished_at": "2030-01-02T03:04:06+00:00",
    "cost": {"usd": "0.000000123450", "known": False, "maybe_billed_attempts": 1},
    "failure": None,
    "result": {"text": "three rivers", "usage": {"input": 1, "output": 2}},
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with Client(server.url, "sk-syn-test", max_retries=0) as running:
        yield running


def test_a_job_carries_its_answer_and_its_exact_cost() -> None:
    job = Job.from_json(VIEW)
    assert (job.id, job.state, job.text, job.attempts) == ("j1", "succeeded", "three rivers", 2)
    assert job.cost == Decimal("0.00000012345")
    assert not job.cost_known
    assert job.done
    assert job.succeeded
    assert job.created_at == datetime(2030, 1, 2, 3, 4, 5, 123456, UTC)
    assert job.raw is VIEW


def test_a_job_that_failed_says_why() -> None:
    job = Job.from_json({**VIEW, "state": "failed", "result": None, "failure": {"class": "timeout", "message": "late"}})
    assert job.failure is not None
    assert (job.failure.kind, job.failure.message) == ("timeout", "late")
    assert job.text is None
    assert not job.succeeded


def test_a_listing_is_read_to_its_end(server: ScriptedServer, client: Client) -> None:
    pages = {None: (["j3", "j2"], "c1"), "c1": (["j1"], None)}

    def script(asked: Asked) -> Answer:
        ids, following = pages[asked.query.get("cursor")]
        return Answer(200, {"jobs": [{**VIEW, "id": job_id} for job_id in ids], "next": following})

    server.script = script
    assert [job.id for job in client.jobs(state=["failed", "denied"], run_id="r")] == ["j3", "j2", "j1"]
    assert server.asked[1].query["run_id"] == "r"


def test_a_listing_asks_for_pages_only_as_far_as_it_is_read(server: ScriptedServer, client: Client) -> None:
    server.script = lambda asked: Answer(200, {"jobs": [VIEW], "next": "more"})
    assert next(client.jobs()).id == "j1"
    assert len(server.asked) == 1


def test_an_id_cannot_leave_its_place_in_the_path(server: ScriptedServer, client: Client) -> None:
    server.answer_in_turn(Answer(404, {}))
    with pytest.raises(NotFound):
        client.get("../keys?x=1")
    assert server.asked[0].path == "/api/v1/jobs/..%2Fkeys%3Fx%3D1"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, AuthenticationError),
        (403, PermissionDenied),
        (404, NotFound),
        (409, Conflict),
        (413, InvalidRequest),
        (418, ApiError),
        (422, InvalidRequest),
        (429, RateLimited),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_every_status_has_its_error(server: ScriptedServer, client: Client, status: int, kind: type[ApiError]) -> None:
    problem = {
        "type": "about:blank",
        "title": "No",
        "detail": "not so",
        "errors": [{"field": "query.limit", "problem": "is too large", "remedy": "at most 200"}],
    }
    server.answer_in_turn(Answer(status, problem))
    with pytest.raises(ApiError) as raised:
        client.get("j1")
    assert type(raised.value) is kind
    assert raised.value.status == status
    assert raised.value.detail == "not so"
    assert raised.value.errors[0].remedy == "at most 200"


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"[]", b'"x"', b"\xff"])
def test_an_error_that_is_no_problem_document_is_an_error_all_the_same(
    server: ScriptedServer, client: Client, body: bytes
) -> None:
    server.answer_in_turn(Answer(502, body))
    with pytest.raises(ServerError):
        client.get("j1")
