"""Exports over HTTP, by the client and on the command line; in traces and in evidence."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api.v1.evidence_views import EvidenceView
from api.v1.exports import DestinationList, DestinationView, MovedView, SetAsidePage
from synthralos.domain.exports import Aside, Booking, Destination, Kind, Rest
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.exports.backlog import Backlog
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client
from tests.fakes.commands import Command, in_process
from tests.fakes.jobs import attempt_end, settlement
from tests.fakes.stores import Store
from tests.integration.api_place import TRACES, Place, api_over, core_over

EXPORTS = "/api/v1/exports"


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def root(place: Place) -> httpx.Client:
    return place.client(Role.OPERATOR, EVERYTHING)


@pytest.fixture
def aside(database: Database) -> list[str]:
    """Jobs of which the first is withheld from `langfuse`, the second refused by it, and the third owed to it."""
    store, backlog = Store(database, ["langfuse"]), Backlog(database)
    backlog.serve(Destination("langfuse", "us"))
    backlog.link("langfuse", "https://langfuse.example/project/p1/traces/{trace_id}")
    done = [store.started() for _ in range(3)]
    for job in done:
        assert store.settle(settlement(job, attempt=attempt_end(1), analyzed=True))
    first, second, third = backlog.claim("langfuse")
    asides = [Aside(first, Kind.WITHHELD, "eu data"), Aside(second, Kind.REFUSED, "400: no")]
    backlog.book("langfuse", Booking(0, [], asides, [], [third], Rest(300, "429"), "429"))
    return [job.id for job in done]


def test_operators_see_how_destinations_fare(root: httpx.Client, aside: list[str]) -> None:
    listed = root.get(EXPORTS)
    DestinationList.model_validate_json(listed.content)
    [found] = listed.json()["destinations"]
    assert (found["name"], found["state"], found["residency"]) == ("langfuse", "resting", "us")
    assert (found["pending"], found["refused"], found["withheld"], found["sent"]) == (1, 1, 1, 0)
    assert (found["last_error"], found["resting_seconds"] > 200) == ("429", True)
    assert root.get(f"{EXPORTS}/langfuse").json().keys() == found.keys()


def test_what_is_set_aside_is_listed_in_pages_retried_and_dropped(root: httpx.Client, aside: list[str]) -> None:
    first, second, third = aside
    page = root.get(f"{EXPORTS}/langfuse/set-aside", params={"limit": 1})
    SetAsidePage.model_validate_json(page.content)
    [newest] = page.json()["traces"]
    assert (newest["job_id"], newest["kind"], newest["reason"]) == (second, "refused", "400: no")
    cursor = {"cursor": page.json()["next"]}
    [older] = root.get(f"{EXPORTS}/langfuse/set-aside", params=cursor).json()["traces"]
    assert (older["job_id"], older["organization"]) == (first, "acme")
    only = root.get(f"{EXPORTS}/langfuse/set-aside", params={"kind": "withheld"}).json()["traces"]
    assert [each["job_id"] for each in only] == [first]
    moved = root.post(f"{EXPORTS}/langfuse/set-aside/retry", json={"jobs": [second.upper(), third], "reason": "mended"})
    MovedView.model_validate_json(moved.content)
    assert moved.json() == {"traces": 1}
    assert root.get(f"{EXPORTS}/langfuse").json()["pending"] == 2
    assert root.post(f"{EXPORTS}/langfuse/set-aside/drop").json() == {"traces": 1}
    assert root.get(f"{EXPORTS}/langfuse").json()["dropped"] == 1
    acts = [entry["act"] for entry in root.get("/api/v1/audit").json()["changes"]]
    assert {"exports.retry", "exports.drop"} <= set(acts)


def test_a_destination_that_rests_is_resumed(root: httpx.Client, aside: list[str]) -> None:
    resumed = root.post(f"{EXPORTS}/langfuse/resume", json={"reason": "the key was mended"})
    DestinationView.model_validate_json(resumed.content)
    assert (resumed.json()["state"], resumed.json()["resting_seconds"]) == ("draining", 0)


REFUSED = [("GET", ""), ("GET", "/langfuse"), ("GET", "/langfuse/set-aside"), ("POST", "/langfuse/resume"),
           ("POST", "/langfuse/set-aside/retry"), ("POST", "/langfuse/set-aside/drop")]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_tenants_and_viewers_see_and_change_nothing(place: Place, aside: list[str], method: str, path: str) -> None:
    assert place.client(Role.ADMIN).request(method, EXPORTS + path).status_code == 403
    assert place.client(Role.VIEWER, EVERYTHING).request(method, EXPORTS + path).status_code == 403


def test_what_there_is_not_is_a_404_and_bad_input_names_its_field(root: httpx.Client, aside: list[str]) -> None:
    assert root.get(f"{EXPORTS}/nowhere").status_code == 404
    assert root.get(f"{EXPORTS}/nowhere/set-aside").status_code == 404
    assert root.post(f"{EXPORTS}/nowhere/set-aside/retry").status_code == 404
    wrong = root.post(f"{EXPORTS}/langfuse/set-aside/drop", json={"jobs": []})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "jobs")
    assert root.get(f"{EXPORTS}/langfuse/set-aside", params={"kind": "x"}).status_code == 422
    assert len(root.get(f"{EXPORTS}/langfuse/set-aside").json()["traces"]) == 2
    assert root.post(f"{EXPORTS}/langfuse/set-aside/drop", json={"jobs": ["nonsense"]}).json() == {"traces": 0}


def test_a_trace_has_the_address_of_its_page_and_viewers_do_not_see_it(place: Place, aside: list[str]) -> None:
    found = place.client(Role.OPERATOR).get(f"{TRACES}/{aside[0]}").json()
    assert found["links"] == {"langfuse": f"https://langfuse.example/project/p1/traces/{found['trace_id']}"}
    assert place.client(Role.VIEWER).get(f"{TRACES}/{aside[0]}").json()["links"] == {}


def test_evidence_says_from_where_a_trace_was_withheld(place: Place, aside: list[str]) -> None:
    client = place.client(Role.OPERATOR)
    withheld, refused, owed = (client.get(f"/api/v1/jobs/{job_id}/evidence") for job_id in aside)
    EvidenceView.model_validate_json(withheld.content)
    said = [found.json()["exports"][0] for found in (withheld, refused, owed)]
    assert [each["state"] for each in said] == ["withheld", "refused", "owed"]
    assert [each["reason"] for each in said] == ["eu data", None, None]


def test_the_client_does_the_same(place: Place, aside: list[str]) -> None:
    with Client(place.url, place.key(Role.ADMIN, EVERYTHING)) as client:
        assert [each["name"] for each in client.exports.list()] == ["langfuse"]
        assert {each["kind"] for each in client.exports.set_aside("langfuse", page_size=1)} == {"refused", "withheld"}
        assert client.exports.retry("langfuse", aside[:1], reason="declared") == 1
        assert client.exports.drop("langfuse") == 1
        assert client.exports.resume("langfuse")["state"] == "draining"
        assert client.exports.get("langfuse")["pending"] == 2


async def asked(place: Place, job_ids: list[str]) -> list[Any]:
    async with AsyncClient(place.url, place.key(Role.ADMIN, EVERYTHING)) as client:
        exports = client.exports
        kinds = {each["kind"] async for each in exports.set_aside("langfuse", kind="withheld")}
        moved = [await exports.retry("langfuse", job_ids[:1]), await exports.drop("langfuse")]
        return [kinds, moved, (await exports.resume("langfuse"))["state"], len(await exports.list())]


def test_the_asynchronous_client_does_the_same(place: Place, aside: list[str]) -> None:
    import asyncio

    assert asyncio.run(asked(place, aside)) == [{"withheld"}, [1, 1], "draining", 1]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: Database) -> Command:
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    return in_process(monkeypatch, capsys)


def test_the_command_line_does_the_same(command: Command, aside: list[str]) -> None:
    assert "langfuse" in command("exports", "list").out
    [found] = command("exports", "list", "--json").json["destinations"]
    assert (found["pending"], found["withheld"]) == (1, 1)
    assert "400: no" in command("exports", "set-aside", "langfuse").out
    assert command("exports", "retry", "langfuse", "--job", aside[0], "--json").json == {"traces": 1}
    assert command("exports", "drop", "langfuse", "--json").json == {"traces": 1}
    assert command("exports", "resume", "langfuse").code == 0
    unknown = command("exports", "resume", "nowhere")
    assert unknown.code != 0
    assert "synthralos exports list" in unknown.err
