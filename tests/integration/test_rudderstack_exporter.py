"""The exporter to RudderStack against a data plane that behaves, and one that does not."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipelines.analyze.exporters.http_replies import LONGEST_REST, STOPPED_FOR
from pipelines.analyze.exporters.rudderstack.exporter import Account, RudderStackExporter
from pipelines.analyze.protocol import Answer, Trace
from pipelines.analyze.trace import assemble
from synthralos.domain.ids import new_id
from tests.fakes import scripted_server
from tests.fakes.data_plane import WRITE_KEY, DataPlane, Whim, data_plane, message, poisoned_by
from tests.fakes.trace_rows import attempt, job, timeline

SHORT = 0.5
"""Seconds that a request may take."""


@pytest.fixture
def plane() -> Iterator[DataPlane]:
    with data_plane() as running:
        yield running


@contextmanager
def shipping(plane: DataPlane, key: str = WRITE_KEY, **changes: Any) -> Iterator[RudderStackExporter]:
    made = RudderStackExporter(Account(plane.url, key, **changes), "1.0", SHORT)
    try:
        yield made
    finally:
        made.close()


def traces(count: int, **changes: Any) -> list[Trace]:
    rows = timeline(attempts=[attempt(1, 3)])
    return [assemble(job(**{"id": new_id(), "metadata": {"no": number}, **changes}), rows) for number in range(count)]


def ids(shipped: list[Trace]) -> list[str]:
    return [each["job"]["id"] for each in shipped]


def bad(trace: Trace) -> Whim:
    """The job's cost is what the data plane does not take."""
    job_id = trace["job"]["id"]
    return poisoned_by(lambda event: str(event["messageId"]).startswith(f"{job_id}:call"))


def test_all_events_of_a_trace_arrive_and_its_user_is_introduced_once(plane: DataPlane) -> None:
    shipped = traces(3)
    with shipping(plane) as exporter:
        assert exporter.ship(shipped) == Answer(ids(shipped))
        more = traces(1)
        assert exporter.ship(more).accepted == ids(more)
    assert plane.jobs() == {*ids(shipped), *ids(more)}
    assert len(plane.named("Model Cost Logged")) == 4
    assert [event["type"] for event in plane.seen].count("identify") == 1


def test_a_repeat_keeps_the_data_planes_events_as_they_are(plane: DataPlane) -> None:
    shipped = traces(5)
    with shipping(plane) as exporter:
        exporter.ship(shipped)
        kept = dict(plane.kept)
        assert exporter.ship(shipped).accepted == ids(shipped)
    with shipping(plane) as another:
        another.ship(shipped)
    assert plane.kept == kept


def test_requests_hold_so_many_events_and_more_while_a_backlog_drains(plane: DataPlane) -> None:
    with shipping(plane, batch=7) as exporter:
        exporter.ship(traces(10))
        assert plane.requests == [7, 7, 7]
        plane.requests.clear()
        exporter.ship(traces(300))
        assert plane.requests == [600]


def test_a_poisoned_event_sets_its_trace_aside_and_holds_up_no_other(plane: DataPlane) -> None:
    shipped = traces(20)
    plane.whim = bad(shipped[7])
    with shipping(plane) as exporter:
        answer = exporter.ship(shipped)
    assert list(answer.refused) == [shipped[7]["job"]["id"]]
    assert "400" in answer.refused[shipped[7]["job"]["id"]]
    assert len(answer.accepted) == 19
    assert answer.rest is None
    assert plane.jobs() == set(ids(shipped)), "the other events of the poisoned trace have arrived"


def test_a_lone_poisoned_trace_is_set_aside_too(plane: DataPlane) -> None:
    [shipped] = traces(1, user_id=None)
    plane.whim = poisoned_by(lambda event: bool(event["properties"]))
    with shipping(plane) as exporter:
        answer = exporter.ship([shipped])
    assert (list(answer.refused), answer.rest) == (ids([shipped]), None)
    assert len(plane.named("Export Checked")) == 1


@pytest.mark.parametrize("cost", [None, {"usd": 2**70, "known": True, "maybe_billed_attempts": 0}, {}])
def test_a_trace_of_which_no_events_can_be_made_is_set_aside_and_holds_up_no_other(plane: DataPlane, cost: Any) -> None:
    shipped = traces(3)
    shipped[1]["job"]["cost"] = cost
    with shipping(plane) as exporter:
        answer = exporter.ship(shipped)
    odd = shipped[1]["job"]["id"]
    assert (list(answer.refused), answer.rest) == ([odd], None)
    assert set(answer.accepted) == {*ids(shipped)} - {odd} == plane.jobs()


def test_where_everything_is_refused_the_destination_is_stopped_and_nothing_is_set_aside(plane: DataPlane) -> None:
    plane.whim = lambda events: message(400, "invalid json")
    with shipping(plane) as exporter:
        answer = exporter.ship(traces(20))
    assert (answer.accepted, answer.refused) == ([], {})
    assert answer.rest is not None
    assert answer.rest.stopped
    assert len(plane.requests) < 12


def test_what_is_too_large_for_the_data_plane_goes_in_parts(plane: DataPlane) -> None:
    plane.most_request = 40_000
    shipped = traces(100)
    with shipping(plane) as exporter:
        assert exporter.ship(shipped).accepted == ids(shipped)
        refusals = len(plane.requests)
        assert exporter.ship(shipped).accepted == ids(shipped)
    assert len(plane.requests) - refusals < refusals


def test_a_wrong_key_stops_the_destination_for_long_and_names_the_setting(plane: DataPlane) -> None:
    with shipping(plane, "wrong") as exporter:
        answer = exporter.ship(traces(2))
    assert (answer.accepted, answer.refused) == ([], {})
    assert answer.rest is not None
    assert (answer.rest.stopped, answer.rest.seconds) == (True, STOPPED_FOR)
    assert "RUDDERSTACK_WRITE_KEY" in answer.rest.reason
    assert "wrong" not in answer.rest.reason.replace("is wrong", "")


def test_a_source_that_is_switched_off_stops_the_destination_until_it_is_on(plane: DataPlane) -> None:
    shipped = traces(2)
    plane.enabled = False
    with shipping(plane) as exporter:
        stopped = exporter.ship(shipped).rest
        assert stopped is not None
        assert stopped.stopped
        plane.enabled = True
        assert exporter.ship(shipped) == Answer(ids(shipped))


def away(exporter: RudderStackExporter, shipped: list[Trace]) -> bool:
    """Whether nothing of it was answered: then its shipper leaves the data plane alone, longer each time."""
    try:
        exporter.ship(shipped)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("status", [202, 408, 429, 500, 502, 503, 504])
def test_a_data_plane_that_is_busy_takes_nothing_and_nothing_is_set_aside(plane: DataPlane, status: int) -> None:
    plane.whim = lambda events: message(status, "not now")
    shipped = traces(1)
    with shipping(plane) as exporter:
        assert away(exporter, shipped)
        assert len(plane.requests) == 1, "one request a shipment"
        plane.whim = lambda events: None
        assert exporter.ship(shipped) == Answer(ids(shipped))


def test_how_long_the_data_plane_asks_for_is_kept_to_within_reason(plane: DataPlane) -> None:
    with shipping(plane) as exporter:
        for header, seconds in (({"Retry-After": "42"}, 42), ({"Retry-After": "86400"}, LONGEST_REST)):
            plane.whim = lambda events, header=header: message(429, "max requests limit reached", **header)  # type: ignore[misc]
            rest = exporter.ship(traces(1)).rest
            assert rest is not None
            assert (rest.seconds, rest.stopped) == (seconds, False)


def test_what_was_accepted_before_the_data_plane_went_away_does_not_come_again(plane: DataPlane) -> None:
    shipped = traces(30)
    plane.whim = lambda events: message(503, "away") if len(plane.requests) > 2 else None
    with shipping(plane, batch=10) as exporter:
        answer = exporter.ship(shipped[:20])
    assert answer.error is not None
    assert set(answer.accepted) <= plane.jobs()
    assert 0 < len(answer.accepted) < 20


def test_a_connection_that_is_cut_after_accepting_means_a_repeat_and_no_double(plane: DataPlane) -> None:
    shipped = traces(5)
    plane.cut_after_accepting = 1
    with shipping(plane) as exporter:
        assert away(exporter, shipped)
        kept = dict(plane.kept)
        assert exporter.ship(shipped).accepted == ids(shipped)
    assert plane.kept == kept
    assert len(plane.seen) == 2 * len(kept)


def test_a_data_plane_that_hangs_is_left_alone_after_its_time_is_up(plane: DataPlane) -> None:
    held = threading.Event()
    plane.whim = lambda events: message(503, "late") if held.wait(30) else None
    with shipping(plane) as exporter:
        assert away(exporter, traces(1))
        held.set()


def test_nobody_listening_is_no_reason_to_lose_anything() -> None:
    with data_plane() as gone:
        pass
    with shipping(gone) as exporter:
        assert away(exporter, traces(1))


def test_a_redirect_is_not_followed(plane: DataPlane) -> None:
    plane.whim = lambda events: scripted_server.Answer(307, b"", {"Location": f"{plane.url}/elsewhere"})
    with shipping(plane) as exporter:
        answer = exporter.ship(traces(1))
    assert answer.rest is not None
    assert answer.rest.stopped
    assert {asked.path for asked in plane.asked} == {"/v1/batch"}


def test_prompts_and_answers_are_sent_only_where_a_setting_allows_it(plane: DataPlane) -> None:
    request = {"body": {"messages": [{"role": "user", "content": "a very private question"}]}, "provider_options": {}}
    shipped = traces(1, request=request, result={"text": "a very private answer"})

    def sent() -> str:
        return json.dumps([gzip.decompress(asked.body).decode() for asked in plane.asked])

    with shipping(plane) as exporter:
        exporter.ship(shipped)
        assert "very private" not in sent()
    with shipping(plane, content="all") as exporter:
        exporter.ship(shipped)
    assert "a very private question" in sent()
    assert "a very private answer" in sent()


def test_a_prompt_of_any_length_and_any_text_arrives_within_the_bounds(plane: DataPlane) -> None:
    texts = ["x" * 2_000_000, "👩‍👩‍👧" * 50_000, "\x00\x1f" * 30_000, '"\\' * 40_000]
    shipped = [each for text in texts for each in traces(1, result={"text": text}, metadata={"m": text[:500]})]
    with shipping(plane, content="all") as exporter:
        assert exporter.ship(shipped).accepted == ids(shipped)
    assert all("result" in event["properties"]["trimmed"] for event in plane.named("Job Ended"))


def test_an_empty_shipment_asks_nobody(plane: DataPlane) -> None:
    with shipping(plane) as exporter:
        assert exporter.ship([]) == Answer([])
    assert plane.asked == []
