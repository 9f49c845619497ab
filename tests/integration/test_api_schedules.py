"""Schedules over HTTP: made, changed, paused, run, filled in, and out of reach for others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.v1.schedule_views import (
    BackfillList,
    BackfillView,
    FiringList,
    ScheduleList,
    ScheduleView,
    StartedView,
    TickList,
)
from synthralos.bus.protocol import Topic
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.sql.database import Database
from tests.fakes.schedules import Leader
from tests.integration.api_place import JOBS, Place, api_over, core_over, fields_of

SCHEDULES = "/api/v1/schedules"
WANTED: dict[str, Any] = {"name": "nightly", "cron": "30 2 * * *", "job": {"prompt": "How was the night?"}}


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client(Role.SERVICE)


def made(client: httpx.Client, **more: Any) -> dict[str, Any]:
    answer = client.post(SCHEDULES, json={**WANTED, **more})
    assert answer.status_code == 201, answer.text
    ScheduleView.model_validate_json(answer.content)
    found: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{found["version"]}"'
    return found


def test_a_schedule_is_written_read_changed_and_removed(place: Place, client: httpx.Client) -> None:
    first = made(client, time_zone="Europe/Berlin", exclusions={"dates": ["2026-12-24"]}, reason="reports")
    path = f"{SCHEDULES}/{first['id']}"
    assert client.get(path).json() == first
    ScheduleList.model_validate_json(client.get(SCHEDULES).content)
    assert (first["organization"], first["workspace"], first["owner"][:4]) == ("acme", "default", "key:")
    excluded = {"exclusions": {"dates": ["2026-12-24"]}}
    same = {**WANTED, **excluded, "time_zone": "Europe/Berlin", "name": "renamed"}
    same_time = client.put(path, json=same, headers={"If-Match": '"1"'})
    assert (same_time.status_code, same_time.json()["version"]) == (200, 2)
    assert same_time.json()["next_fire_at"] == first["next_fire_at"]
    stale = client.put(path, json=WANTED, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert "version 2" in stale.json()["detail"]
    moved = client.put(path, json={**WANTED, "cron": "31 2 * * *"}).json()
    assert moved["next_fire_at"] != first["next_fire_at"]
    assert client.request("DELETE", path).status_code == 200
    assert client.get(path).status_code == 404
    acts = place.client(Role.ADMIN).get("/api/v1/audit", params={"subject": f"schedule:{first['id']}"}).json()
    assert [change["act"] for change in acts["changes"]] == [
        "schedules.remove", "schedules.change", "schedules.change", "schedules.create",
    ]  # fmt: skip
    assert "How was the night" not in str(acts)


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({**WANTED, "cron": "* * *"}, ["cron"]),
        ({**WANTED, "cron": "0 0 30 2 *"}, ["cron"]),
        ({**WANTED, "interval_seconds": 60}, ["cron"]),
        ({**WANTED, "cron": None}, ["cron"]),
        ({**WANTED, "time_zone": "Mars/Olympus"}, ["time_zone"]),
        ({**WANTED, "overlap": "perhaps"}, ["overlap"]),
        ({**WANTED, "backoff": {"factor": 0.5}}, ["backoff.factor"]),
        ({**WANTED, "backoff": {"base_seconds": 60, "cap_seconds": 5}}, ["backoff.cap_seconds"]),
        ({**WANTED, "exclusions": {"dates": ["2026-02-30"]}}, ["exclusions.dates[0]"]),
        ({**WANTED, "start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, ["end"]),
        ({**WANTED, "colour": 1}, ["colour"]),
        ({**WANTED, "job": {"promt": "Hi"}}, ["job.promt", "job.prompt"]),
        ({**WANTED, "job": {"prompt": "Hi", "model": "nobody/knows"}}, ["job.model"]),
        ({**WANTED, "job": {"prompt": "Hi", "deadline": "2030-01-01T00:00:00Z"}}, ["job.deadline"]),
        ({**WANTED, "job": None}, ["job"]),
        ({**WANTED, "job": None, "steps": [{"prompt": "a"}, {"prompt": " "}]}, ["steps[1].prompt"]),
        ({**WANTED, "job": {"prompt": "x" * 300_000}}, ["job"]),
    ],
)
def test_a_mistake_is_told_by_its_path_and_nothing_is_stored(
    client: httpx.Client, document: dict[str, Any], fields: list[str]
) -> None:
    answer = client.post(SCHEDULES, json=document)
    assert answer.status_code == 422, answer.text
    assert set(fields_of(answer)) <= set(fields)
    assert fields_of(answer)
    assert all(error["remedy"] for error in answer.json()["errors"])
    assert client.get(SCHEDULES).json()["schedules"] == []


def test_nobody_sees_or_moves_the_schedules_of_others(place: Place, client: httpx.Client) -> None:
    mine = made(client)
    other = place.client(Role.ADMIN, Scope("rival"))
    assert other.get(SCHEDULES).json()["schedules"] == []
    path = f"{SCHEDULES}/{mine['id']}"
    assert other.get(path).status_code == 404
    for verb in ("pause", "resume", "run"):
        assert other.post(f"{path}/{verb}").status_code == 404
    assert other.put(path, json=WANTED).status_code == 404
    assert other.request("DELETE", path).status_code == 404
    assert other.get(f"{path}/firings").status_code == 404
    assert client.post(SCHEDULES, json={**WANTED, "organization": "rival"}).status_code == 403
    viewer = place.client(Role.VIEWER)
    assert viewer.get(path).status_code == 200
    assert viewer.post(f"{path}/run").status_code == 403
    assert place.client(Role.ADMIN, EVERYTHING).get(path).status_code == 200


def test_it_pauses_with_a_note_and_fires_from_now_on_when_it_is_resumed(place: Place, client: httpx.Client) -> None:
    told: list[str] = []
    place.core.bus.subscribe(Topic.SCHEDULES, lambda ids: told.extend(ids or ()))
    mine = made(client)
    path = f"{SCHEDULES}/{mine['id']}"
    paused = client.post(f"{path}/pause", json={"note": "the source is down"}).json()
    assert (paused["paused"], paused["pause_note"], paused["next_due_at"]) == (True, "the source is down", None)
    resumed = client.post(f"{path}/resume").json()
    assert (resumed["paused"], resumed["pause_note"]) == (False, "")
    assert resumed["next_fire_at"] == mine["next_fire_at"]


def test_a_run_beside_the_ticks_starts_its_jobs_at_once(place: Place, client: httpx.Client) -> None:
    mine = made(client, job=None, steps=[{"prompt": "a"}, {"prompt": "b"}])
    path = f"{SCHEDULES}/{mine['id']}"
    answer = client.post(f"{path}/run", json={"reason": "to try it"})
    assert answer.status_code == 202, answer.text
    started = StartedView.model_validate_json(answer.content)
    assert [client.get(f"{JOBS}/{job_id}").json()["run_id"] for job_id in started.job_ids] == [started.run_id] * 2
    assert place.doorbell.wait_for(started.job_ids[1])
    FiringList.model_validate_json(client.get(f"{path}/firings").content)
    [firing] = client.get(f"{path}/firings", params={"outcome": "fired"}).json()["firings"]
    assert firing["job_ids"] == started.job_ids
    assert client.get(path).json()["next_fire_at"] == mine["next_fire_at"]


def test_the_preview_marks_the_days_on_which_clocks_are_moved(client: httpx.Client) -> None:
    for cron, change in (("30 2 * * *", "gap"), ("30 * * * *", "overlap")):
        start = "2027-03-27T12:00:00Z" if change == "gap" else "2027-10-30T20:00:00Z"
        mine = made(client, cron=cron, time_zone="Europe/Berlin", start=start)
        answer = client.get(f"{SCHEDULES}/{mine['id']}/next", params={"count": 8})
        TickList.model_validate_json(answer.content)
        assert change in {tick["clock_change"] for tick in answer.json()["ticks"]}


def test_firings_come_page_by_page_and_a_backfill_says_how_far_it_is(
    place: Place, client: httpx.Client, database: Database
) -> None:
    now = datetime.now(UTC)
    mine = made(client, cron=None, interval_seconds=3600, overlap="allow")
    path = f"{SCHEDULES}/{mine['id']}"
    span = {"start": (now - timedelta(hours=5)).isoformat(), "end": (now - timedelta(seconds=1)).isoformat()}
    answer = client.post(f"{path}/backfill", json=span)
    assert answer.status_code == 202, answer.text
    assert BackfillView.model_validate_json(answer.content).handled == 0
    leader = Leader(place.store)
    leader.looks.look()
    [progress] = BackfillList.model_validate_json(client.get(f"{path}/backfill").content).backfills
    assert progress.handled == progress.ticks == 5
    assert progress.done_at is not None
    seen, cursor = [], None
    while True:
        page = client.get(
            f"{path}/firings", params={"limit": 2, **({} if cursor is None else {"cursor": cursor})}
        ).json()
        seen += [firing["fire_at"] for firing in page["firings"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)
    assert client.get(f"{path}/firings", params={"cursor": "zzz"}).status_code == 422


@pytest.mark.parametrize(
    ("hours", "field"), [((1, -1), "end"), ((1, 2), "end"), ((200_000, 1), "start"), ((1.5, 1.4), "start")]
)
def test_a_backfill_that_cannot_be_is_refused(client: httpx.Client, hours: tuple[float, float], field: str) -> None:
    now = datetime.now(UTC).replace(minute=30)
    mine = made(client, cron="0 * * * *")
    start, end = (now - timedelta(hours=each) for each in hours)
    answer = client.post(
        f"{SCHEDULES}/{mine['id']}/backfill", json={"start": start.isoformat(), "end": end.isoformat()}
    )
    assert answer.status_code == 422, answer.text
    assert fields_of(answer) == [field]
