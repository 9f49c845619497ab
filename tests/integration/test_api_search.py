"""Search and exports of traces over HTTP."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.v1.views import Trace, TracePage
from cli.main import app
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client
from tests.fakes.jobs import failure
from tests.integration.api_place import ACME, TRACES, Place, api_over, core_over, fields_of, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client()


def indexed(place: Place, *job_ids: str) -> None:
    """Let the jobs have finished a while ago, and the leader have come by."""
    for job_id in job_ids:
        place.store.backdate(job_id, finished_at=2)
    Digest(place.core.database).finish()
    TextIndex(place.core.database).finish()


def found(client: httpx.Client, **params: Any) -> list[str]:
    answer = client.get(TRACES, params=params)
    assert answer.status_code == 200, answer.text
    TracePage.model_validate_json(answer.content)
    return [trace["matched_job"] for trace in answer.json()["traces"]]


def test_traces_are_found_by_words_and_figures(place: Place, client: httpx.Client) -> None:
    first = submitted(client, prompt="Where do penguins live?", metadata={"project": "zoo"}, user="ann")
    second = submitted(client, prompt="Where do polar bears live?")
    place.finish(first)
    place.finish(second)
    indexed(place, first, second)
    third = submitted(client, prompt="Do penguins fly?")
    assert found(client, q="penguins") == [third, first]
    assert found(client, q='"polar bears"') == [second]
    assert found(client, tag="project=zoo") == found(client, q="zoo") == [first]
    assert found(client, deployment="sandbox/small@eu", sort="duration") == [second, first]
    assert found(client, min_cost_usd="0.0004", max_tokens=2000, user="ann") == [first]
    assert found(client, min_cost_usd="0.1") == []
    assert found(client, q="penguins", state="queued") == [third]
    assert found(client, organization="other") == []
    answer = client.get(TRACES, params={"q": "live"}).json()
    assert answer["complete"] is True
    assert answer["indexed_until"] is not None


def test_a_list_by_what_has_no_index_is_a_search(place: Place, client: httpx.Client) -> None:
    first, second = submitted(client, model="small"), submitted(client)
    place.finish(first)
    indexed(place, first)
    assert found(client, model="small", state="succeeded") == found(client, state="succeeded") == [first]
    assert found(client, stage="guard", state=["queued", "active"]) == found(client, state="queued") == [second]
    assert found(client, state="expired") == found(client, lane="bulk", model="none") == []


@pytest.mark.parametrize("name", ["trace_id", "api_key_id"])
def test_what_only_lists_know_is_refused_in_a_search(client: httpx.Client, name: str) -> None:
    value = "0" * 32 if name == "trace_id" else "0199" + "0" * 4 + "-0000-7000-8000-" + "0" * 12
    assert client.get(TRACES, params={"state": "queued", name: value}).status_code == 200
    refused = client.get(TRACES, params={"q": "word", name: value})
    assert refused.status_code == 422
    assert fields_of(refused) == [f"query.{name}"]


def test_a_tenant_finds_its_own(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client, prompt="a whisper", workspace="a")
    place.finish(job_id)
    indexed(place, job_id)
    seen = {
        scope: found(place.client(Role.VIEWER, scope), q="whisper")
        for scope in (EVERYTHING, ACME, Scope("acme", "a"), Scope("acme", "b"), Scope("other"))
    }
    assert list(seen.values()) == [[job_id], [job_id], [job_id], [], []]


@pytest.mark.parametrize("sort", ["newest", "cost", "duration"])
def test_pages_of_a_search_lead_to_one_another(place: Place, client: httpx.Client, sort: str) -> None:
    job_ids = [submitted(client) for _ in range(5)]
    for job_id in job_ids:
        place.finish(job_id)
    indexed(place, *job_ids)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        params = {"q": "capital", "sort": sort, "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get(TRACES, params=params).json()
        seen += [trace["matched_job"] for trace in page["traces"]]
        cursor = page["next"]
    assert cursor is None
    assert sorted(seen) == sorted(job_ids)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"q": "-penguins"}, "query.q"),
        ({"tag": "project"}, "query.tag"),
        ({"sort": "cost", "cursor": "x"}, "query.cursor"),
        ({"sort": "cost", "cursor": "WyJOYU4iLCAieCJd"}, "query.cursor"),
        ({"q": "x", "trace_id": "ab" * 16}, "query.trace_id"),
        ({"failure_class": "bad_luck"}, "query.failure_class"),
        ({"min_cost_usd": "NaN"}, "query.min_cost_usd"),
        ({"q": "x" * 501}, "query.q"),
    ],
)
def test_what_cannot_be_searched_is_refused(client: httpx.Client, params: dict[str, str], field: str) -> None:
    assert fields_of(client.get(TRACES, params=params)) == [field]


def test_a_viewer_does_not_see_how_the_house_decided(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client)
    place.finish(job_id, Transition.FAIL, failure=failure().to_json())
    whole = client.get(f"{TRACES}/{job_id}")
    viewer = place.client(Role.VIEWER)
    for path in (f"{TRACES}/{job_id}", f"{TRACES}/{job_id}/export"):
        answer = viewer.get(path)
        Trace.model_validate_json(answer.content)
        [part] = answer.json()["jobs"]
        assert part["job"]["plan"] is None
        assert part["job"]["failure"]["class"] == "server_error"
        assert "a test made it" not in answer.text
        assert "request-1" not in answer.text
    assert "a test made it" in whole.text
    assert "a test made it" not in viewer.get(f"{TRACES}/{job_id}/export", params={"format": "otlp"}).text


def test_a_trace_is_exported_for_collectors(place: Place, client: httpx.Client) -> None:
    job_id = submitted(client, metadata={"n": 1})
    place.finish(job_id)
    answer = client.get(f"{TRACES}/{job_id}/export", params={"format": "otlp"})
    assert answer.headers["content-disposition"].startswith("attachment")
    [resource] = answer.json()["resourceSpans"]
    spans = {span["name"]: span for span in resource["scopeSpans"][0]["spans"]}
    call, job = spans["chat small"], spans["job"]
    assert call["parentSpanId"] == job["spanId"]
    assert call["traceId"] == client.get(f"{TRACES}/{job_id}").json()["trace_id"]
    said = {each["key"]: next(iter(each["value"].values())) for each in call["attributes"]}
    assert said["gen_ai.provider.name"] == "sandbox"
    assert (said["gen_ai.request.model"], said["gen_ai.response.model"]) == ("small", "small-2026")
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == ("1000", "500")
    assert int(call["endTimeUnixNano"]) > int(call["startTimeUnixNano"]) > 1_600_000_000 * 10**9
    assert "capital of France" not in answer.text


def test_clients_and_the_command_search(place: Place, client: httpx.Client, tmp_path: Path) -> None:
    job_ids = [submitted(client, prompt=f"penguin number {number}") for number in range(3)]
    place.finish(job_ids[0])
    indexed(place, job_ids[0])
    secret = place.key()
    with Client(place.url, secret) as ours:
        found = list(ours.observability.traces(q="penguin", page_size=1, state=["queued", "succeeded"]))
        exported = ours.observability.export(job_ids[0], "otlp")
    assert [trace["matched_job"] for trace in found] == job_ids[::-1]
    assert exported["resourceSpans"]

    async def asking() -> list[Any]:
        async with AsyncClient(place.url, secret) as theirs:
            return [trace async for trace in theirs.observability.traces(q="penguin", state="succeeded")]

    assert [trace["matched_job"] for trace in asyncio.run(asking())] == job_ids[:1]
    env = {"SYNTHRALOS_URL": place.url, "SYNTHRALOS_API_KEY": secret}
    run = CliRunner(env=env)
    done = run.invoke(app, ["traces", "search", "penguin", "number 1", "--json"])
    assert [trace["matched_job"] for trace in json.loads(done.stdout)["traces"]] == [job_ids[1]]
    assert job_ids[1] in run.invoke(app, ["traces", "search", "penguin", "--without", "2"]).stdout
    file = tmp_path / "trace.json"
    assert run.invoke(app, ["traces", "export", job_ids[0], str(file)]).exit_code == 0
    assert json.loads(file.read_text())["jobs"][0]["job"]["id"] == job_ids[0]
