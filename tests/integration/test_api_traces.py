"""Traces: a job's whole timeline, lists of them, and the same as a file."""

from collections.abc import Iterator

import httpx
import pytest

import api.v1.traces
from api.v1.views import Trace, TracePage
from synthralos.domain.spans import root_span_id
from synthralos.domain.states import Transition
from synthralos.store.sql.database import Database
from tests.fakes.jobs import failure
from tests.integration.api_place import JOBS, TRACES, Place, api_over, core_over, submitted

PARENT = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client()


def test_a_trace_is_found_by_its_id_and_by_its_jobs(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    place.finish(job_id)
    trace = client.get(f"{TRACES}/{job_id}")
    Trace.model_validate_json(trace.content)
    assert client.get(f"{TRACES}/{trace.json()['trace_id']}").json() == trace.json()
    [part] = trace.json()["jobs"]
    assert [span["kind"] for span in part["spans"]] == ["job", "attempt"]
    assert {span["parent_span_id"] for span in part["spans"]} == {None, root_span_id(job_id)}
    assert part["job"] == client.get(f"{JOBS}/{job_id}").json()


def test_a_trace_of_large_jobs_comes_in_parts(
    place: Place, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.v1.traces, "MOST_BYTES_SHOWN", 2_500)
    sizes = [1_000, 1_000, 1_000, 9_000, 100]
    bodies = [{"prompt": "x" * size} for size in sizes]
    job_ids = [receipt["id"] for receipt in client.post(JOBS, json=bodies, headers=PARENT).json()["jobs"]]
    parts, cursor = [], None
    while True:
        answer = client.get(f"{TRACES}/{'ab' * 16}", params={} if cursor is None else {"cursor": cursor})
        Trace.model_validate_json(answer.content)
        found = answer.json()
        parts.append([part["job"]["id"] for part in found["jobs"]])
        cursor = found["next"]
        assert found["truncated"] is (cursor is not None)
        if cursor is None:
            break
    assert parts == [job_ids[:2], job_ids[2:3], job_ids[3:4], job_ids[4:]]
    assert client.get(f"{TRACES}/{'ab' * 16}", params={"cursor": "nonsense"}).status_code == 422


def test_an_export_is_the_same_as_an_attachment(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    exported = client.get(f"{TRACES}/{job_id}/export")
    assert exported.headers["content-disposition"].startswith("attachment")
    assert exported.json() == client.get(f"{TRACES}/{job_id}").json()


def test_a_trace_of_several_jobs_is_summed_up(place: Place, client: httpx.Client) -> None:
    receipts = client.post(JOBS, json=[{"prompt": "a"}, {"prompt": "b"}, {"prompt": "c"}], headers=PARENT).json()
    first, second, third = (receipt["id"] for receipt in receipts["jobs"])
    place.finish(first)
    place.finish(second, Transition.FAIL, failure=failure().to_json())
    [summary] = client.get(TRACES).json()["traces"]
    assert summary["jobs"] == [first, second, third]
    assert summary["states"] == {"succeeded": 1, "failed": 1, "queued": 1}
    assert (summary["state"], summary["ended_at"]) == ("active", None)
    assert summary["cost"]["usd"] == "0.000885"
    client.post(f"{JOBS}/{third}/cancel")
    [summary] = client.get(TRACES).json()["traces"]
    assert summary["state"] == "failed"
    assert summary["ended_at"] is not None
    assert len(client.get(f"{TRACES}/{'ab' * 16}").json()["jobs"]) == 3


def test_traces_are_listed_once_and_page_by_page(client: httpx.Client) -> None:
    def traced(number: int) -> str:
        parent = {"traceparent": f"00-{number:032x}-{'cd' * 8}-01"}
        return str(client.post(JOBS, json={"prompt": "x"}, headers=parent).json()["id"])

    order = [1, 2, 1, 3, 2, 4]
    for number in order:
        traced(number)
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(TRACES, params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        TracePage.model_validate_json(page.content)
        seen += [int(trace["trace_id"], 16) for trace in page.json()["traces"]]
        cursor = page.json()["next"]
    assert seen == [4, 2, 3, 1]


def test_a_filter_finds_the_traces_that_have_such_a_job(place: Place, client: httpx.Client) -> None:
    first = client.post(JOBS, json={"prompt": "x"}, headers=PARENT).json()["id"]
    client.post(JOBS, json={"prompt": "x", "lane": "bulk"}, headers=PARENT)
    submitted(client)
    place.finish(first)
    [found] = client.get(TRACES, params={"state": "succeeded"}).json()["traces"]
    assert (found["trace_id"], found["job_count"]) == ("ab" * 16, 2)
    assert len(client.get(TRACES).json()["traces"]) == 2


def test_a_trace_that_is_none_is_a_404(client: httpx.Client) -> None:
    for trace_id in ("f" * 32, "F" * 32, "0" * 31, "x" * 32):
        assert client.get(f"{TRACES}/{trace_id}").status_code == 404
        assert client.get(f"{TRACES}/{trace_id}/export").status_code == 404
