"""The event stream over HTTP: pages, streams that go on where they broke, scopes, and the live tail of traces."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jsonschema_rs
import pytest

from api.live import feed as live_feed
from api.v1 import feed_stream
from api.v1.feed import EventPage
from scripts.contracts import FOLDER
from synthralos.bus.protocol import Topic
from synthralos.domain.feed import Cursor
from synthralos.domain.happenings import Happening
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.queue.happenings import tell
from synthralos.store.queue.thoughts import Thoughts
from synthralos.store.retention.digest import Digest
from synthralos.store.sql.database import Database
from tests.conformance.test_store_feed import finished, opened
from tests.fakes.feeds import settle
from tests.fakes.jobs import failure
from tests.integration.api_place import ACME, TRACES, Place, api_over, core_over, fields_of, submitted

EVENTS = "/api/v1/events"
OTHER = Tenant("other", "side", None)
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def happened(place: Place, *told: Happening) -> None:
    with place.core.database.transaction() as connection:
        tell(connection, told)
    said(place)


def said(place: Place) -> None:
    settle(place.core.database)
    place.core.bus.publish(Topic.FEED, ["something"])


def digest(place: Place) -> None:
    Digest(place.core.database).finish()
    said(place)


class Stream:
    """Reads a stream entry by entry; `last_id` is where it has come to."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()
        self.last_id = ""

    def next(self) -> tuple[str, dict[str, Any]]:
        """The next entry that says something."""
        while True:
            fields = self.block()
            if "data" in fields:
                return fields["event"], json.loads(fields["data"])

    def rest(self) -> list[str]:
        """What the events are about that come until the server ends the stream."""
        found = []
        try:
            while True:
                found.append(self.next()[1]["subject"])
        except EOFError:
            return found

    def block(self) -> dict[str, str]:
        """The next entry, or heartbeat."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                self.last_id = fields.get("id", self.last_id)
                return fields
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        raise EOFError


@contextmanager
def stream(client: httpx.Client, path: str = EVENTS, last_id: str | None = None, **params: Any) -> Iterator[Stream]:
    """A stream that has begun: what happens from now on is in it."""
    headers = {"Accept": "text/event-stream", **({} if last_id is None else {"Last-Event-ID": last_id})}
    with client.stream("GET", path, params=params, headers=headers) as response:
        found = Stream(response)
        found.block()
        yield found


def test_pages_lead_on_and_hold_what_the_key_may_see(place: Place) -> None:
    mine, theirs = finished(place.store), finished(place.store, tenant=OTHER)
    digest(place)
    happened(place, opened("all"), opened("mine", "acme"), opened("theirs", "other"))
    page = place.client(Role.SERVICE).get(EVENTS, params={"since": YESTERDAY})
    EventPage.model_validate_json(page.content)
    found = page.json()
    assert [event["job_id"] or event["subject"] for event in found["events"]] == [mine, "mine"]
    assert found["more"] is False
    happened(place, opened("later", "acme"))
    client = place.client(Role.SERVICE)
    then = client.get(EVENTS, params={"cursor": found["next"]}).json()
    assert [event["subject"] for event in then["events"]] == ["later"]
    assert client.get(EVENTS, params={"cursor": then["next"]}).json()["events"] == []
    operator = place.client(Role.OPERATOR, EVERYTHING)
    every = operator.get(EVENTS, params={"since": YESTERDAY}).json()["events"]
    assert {event["job_id"] or event["subject"] for event in every} == {mine, theirs, "all", "mine", "theirs", "later"}
    seen = place.client(Role.SERVICE, EVERYTHING).get(EVENTS, params={"since": YESTERDAY}).json()
    assert "all" not in {event["subject"] for event in seen["events"]}
    only = operator.get(EVENTS, params={"since": YESTERDAY, "organization": "other"}).json()["events"]
    assert {event["organization"] for event in only} == {"other"}


def test_what_is_told_keeps_to_the_contracts(place: Place) -> None:
    job_id = finished(place.store)
    digest(place)
    Thoughts(place.core.database).add(job_id, EVERYTHING, By("ann"), "hm")
    happened(place, opened("small", "acme"))
    events = place.client().get(EVENTS, params={"since": YESTERDAY}).json()["events"]
    assert [event["type"] for event in events] == ["job.succeeded", "job.thought", "breaker.opened"]
    for event in events:
        for name, document in (("event", event), (event["type"], event["data"])):
            schema = json.loads((FOLDER / "feed" / f"{name}.schema.json").read_text())
            assert jsonschema_rs.is_valid(schema, document), (name, document)


def test_small_pages_come_to_the_same(place: Place) -> None:
    happened(place, *(opened(str(number), "acme") for number in range(7)))
    client, found, query = place.client(Role.VIEWER), [], {"since": YESTERDAY, "limit": "2"}
    while True:
        page = client.get(EVENTS, params=query).json()
        found += [event["subject"] for event in page["events"]]
        assert len(page["events"]) <= 2
        if not page["more"]:
            break
        query = {"cursor": page["next"], "limit": "2"}
    assert found == [str(number) for number in range(7)]


def test_filters_choose(place: Place) -> None:
    first = finished(place.store, run_id="night-1")
    finished(place.store)
    digest(place)
    happened(place, opened("small", "acme"))
    client, since = place.client(), {"since": YESTERDAY}

    def found(**params: str) -> list[str]:
        events = client.get(EVENTS, params={**since, **params}).json()["events"]
        return [event["type"] for event in events]

    assert found(type="job.*") == ["job.succeeded"] * 2
    assert found(type="breaker.opened") == ["breaker.opened"]
    assert found(run_id="night-1") == found(job_id=first) == ["job.succeeded"]


def test_what_is_wrong_is_told(place: Place) -> None:
    client = place.client()
    assert fields_of(client.get(EVENTS, params={"cursor": "nonsense"})) == ["query.cursor"]
    assert fields_of(client.get(EVENTS, params={"type": "job.succeded"})) == ["query.type"]
    assert client.get(EVENTS, params={"organization": "other"}).status_code == 403
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "nonsense"}
    assert fields_of(client.get(EVENTS, headers=headers)) == ["header.Last-Event-ID"]
    old = Cursor(datetime.now(UTC) - timedelta(days=181)).encode()
    gone = client.get(EVENTS, params={"cursor": old})
    assert (gone.status_code, gone.json()["type"]) == (410, "urn:synthralos:problem:cursor-too-old")
    assert client.get(EVENTS, headers={"Accept": "text/event-stream", "Last-Event-ID": old}).status_code == 410


def test_a_stream_tells_what_happens_and_goes_on_where_it_broke(place: Place) -> None:
    client = place.client(Role.SERVICE)
    with stream(client) as events:
        for number in range(3):
            happened(place, opened(str(number), "acme"), opened("theirs", "other"))
            kind, event = events.next()
            assert (kind, event["type"], event["subject"]) == ("breaker.opened", "breaker.opened", str(number))
        last = events.last_id
    happened(place, opened("3", "acme"), opened("theirs", "other"), opened("4", "acme"))
    with stream(client, last_id=last) as events:
        assert [events.next()[1]["subject"] for _ in range(2)] == ["3", "4"]
        happened(place, opened("5", "acme"))
        assert events.next()[1]["subject"] == "5"
        again = events.last_id
    page = client.get(EVENTS, params={"cursor": again}).json()
    assert page["events"] == []


def test_many_listen_and_one_reads(place: Place) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(stream(place.client(Role.SERVICE))) for _ in range(20)]
        hub = place.server.room.feed_hub
        before = hub.reads
        happened(place, opened("small", "acme"))
        assert [each.next()[1]["subject"] for each in streams] == ["small"] * 20
        assert hub.reads - before <= 3


def test_a_heartbeat_moves_the_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_stream, "HEARTBEAT_SECONDS", 0.05)
    client = place.client(Role.SERVICE)
    with stream(client) as events:
        begun = events.last_id
        happened(place, opened("theirs", "other"))
        while Cursor.decode(events.last_id).happenings == Cursor.decode(begun).happenings:
            events.block()
        last = events.last_id
    assert client.get(EVENTS, params={"cursor": last}).json()["events"] == []


def test_who_takes_too_little_is_cut_and_loses_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "MOST_QUEUED", 5)
    client, subjects, last = place.client(Role.SERVICE), [], None
    with stream(client) as events:
        last = events.last_id
        happened(place, *(opened(str(number), "acme") for number in range(20)))
        subjects += events.rest()
        last = events.last_id
    with stream(client, last_id=last) as events:
        while len(subjects) < 20:
            subjects.append(events.next()[1]["subject"])
    assert subjects == [str(number) for number in range(20)]


def test_a_key_that_is_revoked_hears_no_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = place.key(Role.SERVICE)
    with stream(place.client_with(secret)) as events:
        [key] = [key for key in place.keys.all(EVERYTHING) if secret.startswith(key.prefix)]
        assert place.client().delete(f"/api/v1/keys/{key.id}").is_success
        monkeypatch.setattr(feed_stream, "HEARTBEAT_SECONDS", 0.05)
        happened(place, opened("small", "acme"))
        assert events.rest() in ([], ["small"])


def test_a_viewer_sees_that_it_happened_and_figures(place: Place) -> None:
    client = place.client(Role.VIEWER)
    job_id = finished(place.store)
    digest(place)
    happened(place, opened("small", "acme"))
    end, breaker = client.get(EVENTS, params={"since": YESTERDAY}).json()["events"]
    assert (end["job_id"], end["data"]["state"], end["data"]["calls"]) == (job_id, "succeeded", 1)
    assert (breaker["data"], breaker["actor"]) == ({}, "")


def test_the_tail_tells_of_jobs_as_they_end_by_the_filters_of_the_search(place: Place) -> None:
    client = place.client(Role.SERVICE)
    costly = {"min_cost_usd": "0.0001", "max_seconds": "1000", "model": "auto"}
    with (
        stream(client, f"{TRACES}/tail", state="failed", failure_class="server_error") as failed,
        stream(client, f"{TRACES}/tail", **costly) as dear,
    ):
        good, bad = submitted(client), submitted(client)
        place.finish(good)
        place.finish(bad, Transition.FAIL, failure=failure().to_json())
        place.store.backdate(good, finished_at=40)
        place.store.backdate(bad, finished_at=40)
        digest(place)
        kind, trace = failed.next()
        assert (kind, trace["job_id"], trace["state"]) == ("trace", bad, "failed")
        kind, trace = dear.next()
        assert trace["job_id"] == good
        assert trace["trace_id"] == good.replace("-", "")
    assert client.get(f"{TRACES}/tail", params={"state": "no"}).status_code == 422


def test_a_tail_is_within_the_keys_scope(place: Place) -> None:
    mine, theirs = place.client(Role.VIEWER), place.client(Role.VIEWER, Scope("other"))
    with stream(mine, f"{TRACES}/tail") as here, stream(theirs, f"{TRACES}/tail") as there:
        job_id, other = finished(place.store, 40), finished(place.store, 40, tenant=OTHER)
        digest(place)
        assert here.next()[1]["job_id"] == job_id
        assert there.next()[1]["job_id"] == other
    assert ACME.organization == "acme"
