"""What is posted to a data plane is what RudderStack's own SDK would post there."""

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from pipelines.analyze.exporters.rudderstack.exporter import Account, RudderStackExporter
from pipelines.analyze.trace import assemble
from tests.fakes.data_plane import WRITE_KEY, DataPlane, data_plane
from tests.fakes.scripted_server import Asked
from tests.fakes.trace_rows import attempt, job, timeline

OF_THE_SDK = {"library"}
"""Parts of `context` that name who made the event."""


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    with data_plane() as running:
        yield running


def trace(**changes: Any) -> dict[str, Any]:
    return assemble(job(**changes), timeline(attempts=[attempt(1, 3)]))


def ours(plane: DataPlane) -> tuple[Asked, list[dict[str, Any]]]:
    exporter = RudderStackExporter(Account(plane.url, WRITE_KEY), "1.0")
    try:
        assert exporter.ship([trace(), trace(id="j2", user_id=None)]).accepted
    finally:
        exporter.close()
    return plane.asked[-1], list(plane.kept.values())


@pytest.fixture(autouse=True)
def _no_settings_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's import would read the `.env` of whoever runs this."""
    monkeypatch.setenv("PYTHON_DOTENV_DISABLED", "1")


def of_the_sdk(plane: DataPlane, events: list[dict[str, Any]]) -> list[Asked]:
    """The requests in which the SDK posts the same events."""
    from rudderstack.analytics.client import Client

    sdk = Client(WRITE_KEY, host=plane.url, sync_mode=True, gzip=True)
    before = len(plane.asked)
    for event in events:
        who = {"user_id": event.get("userId"), "anonymous_id": event.get("anonymousId")}
        said = {"timestamp": datetime.fromisoformat(event["timestamp"]), "message_id": event["messageId"]}
        if event["type"] == "identify":
            sdk.identify(traits=event["context"]["traits"], **who, **said)
        else:
            sdk.track(event=event["event"], properties=event["properties"], **who, **said)
    return plane.asked[before:]


def body(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(asked.body))
    return found


def meant(event: dict[str, Any]) -> dict[str, Any]:
    """An event without who made it, its times as times, and without what is null or, for us, said twice."""
    context = {name: value for name, value in event["context"].items() if name not in OF_THE_SDK}
    timestamp = datetime.fromisoformat(event["timestamp"])
    rest = {name: value for name, value in event.items() if value is not None and name != "originalTimestamp"}
    return {**rest, "context": context, "timestamp": timestamp}


def test_the_events_are_those_that_the_sdk_makes(plane: DataPlane) -> None:
    _, events = ours(plane)
    assert {event["type"] for event in events} == {"identify", "track"}
    theirs = [body(asked)["batch"][0] for asked in of_the_sdk(plane, events)]
    assert [meant(event) for event in events] == [meant(event) for event in theirs]


def test_the_request_is_the_one_that_the_sdk_makes(plane: DataPlane) -> None:
    asked, events = ours(plane)
    theirs = of_the_sdk(plane, events)[-1]
    assert (asked.method, asked.path) == (theirs.method, theirs.path)
    for name in ("authorization", "content-type", "content-encoding"):
        assert asked.headers[name] == theirs.headers[name], name
    assert body(asked).keys() == body(theirs).keys()
    assert datetime.fromisoformat(body(asked)["sentAt"]).tzinfo is not None


def test_both_times_of_an_event_are_when_it_happened(plane: DataPlane) -> None:
    _, events = ours(plane)
    assert all(event["originalTimestamp"] == event["timestamp"] for event in events)
    [ended] = [event for event in plane.named("Job Ended") if event["properties"]["job_id"] == "j2"]
    assert ended["timestamp"] == trace()["job"]["finished_at"]
