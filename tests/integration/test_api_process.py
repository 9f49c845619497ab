"""The API as a server: health, documents, errors at the edge, and its life as a process."""

import logging
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from api.process import ApiServer
from api.v1.views import Ready
from migrations.runner import upgrade
from synthralos.domain.permissions import Role
from synthralos.store.admin.keys import Keys
from synthralos.store.sql.database import Database
from tests.fakes.children import child
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, submitted

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def test_health_tells_strangers_whether_jobs_are_accepted(place: Place) -> None:
    place.store.worker()
    stranger = place.client_with(None)
    assert stranger.get("/health/live").json() == {"status": "ok"}
    for path in ("/health/live", "/health/ready"):  # what monitors ask
        head = stranger.head(path)
        assert (head.status_code, head.content) == (200, b"")
    answer = stranger.get("/health/ready")
    Ready.model_validate_json(answer.content)
    assert answer.status_code == 200
    expected = {"database": "ok", "schema": "ok", "broker": "ok", "workers": 1, "scheduler": "missing"}
    assert answer.json() == {"status": "ready", "checks": expected}


def test_a_broker_that_is_away_degrades_and_refuses_nothing(place: Place) -> None:
    place.doorbell.healthy = False
    answer = place.client_with(None).get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["broker"]) == (200, "degraded")
    assert submitted(place.client())


def test_a_database_without_the_schema_is_not_ready(sqlite_database: str) -> None:
    database = Database(sqlite_database)
    with api_over(core_over(database)) as place:
        answer = place.client_with(None).get("/health/ready")
        refused = place.client_with("sk-syn-" + "x" * 43).post(JOBS, json={"prompt": "Hello"})
    database.close()
    assert (refused.status_code, "synthralos migrate" in refused.json()["detail"]) == (503, True)
    assert (answer.status_code, answer.json()["checks"]["schema"]) == (503, "outdated")


def test_a_schema_of_a_later_release_is_ready_and_shown_as_such(sqlite_database: str) -> None:
    with closing(Database(sqlite_database)) as database:
        upgrade(database)
        with database.transaction() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        with api_over(core_over(database)) as place:
            answer = place.client_with(None).get("/health/ready")
            assert (answer.status_code, answer.json()["checks"]["schema"]) == (200, "newer")
            assert submitted(place.client())


def test_the_documents_fetch_nothing_from_anywhere(place: Place) -> None:
    stranger = place.client_with(None)
    assert stranger.get("/").headers["location"] == "/docs"
    page = stranger.get("/docs").text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    document = stranger.get("/openapi.json").json()
    assert all(path in page for path in document["paths"])


def test_every_operation_below_api_declares_its_key_and_its_refusals(place: Place) -> None:
    document = place.client_with(None).get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path.startswith("/api/"):
                assert operation["security"]
                assert {"401", "403", "500", "503"} <= operation["responses"].keys()
            for status, response in operation["responses"].items():
                refusal = int(status) >= 400 and (path, status) != ("/health/ready", "503")
                assert refusal == ("application/problem+json" in response.get("content", {})), (path, status)


def test_a_wrong_method_names_the_right_ones(place: Place) -> None:
    answer = place.client().delete(JOBS)
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


def test_a_bug_is_a_500_that_shows_nothing_of_itself(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    secret = "0" * 20

    def broken(*_: object) -> None:
        raise ValueError(secret)

    place.server.room.reader.page = broken  # type: ignore[method-assign, assignment]
    answer = place.client().get(JOBS)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "ValueError" in caplog.text
    assert secret not in answer.text + caplog.text


def test_a_port_that_is_taken_is_an_error_of_the_start(place: Place) -> None:
    taken = int(place.url.rpartition(":")[2])
    server = ApiServer(place.core, "127.0.0.1", taken)
    with pytest.raises(OSError, match=r"."):
        server.start()


def test_the_process_finishes_what_is_under_way_when_it_is_told_to_stop(sqlite_database: str) -> None:
    database = Database(sqlite_database)
    upgrade(database)
    secret, _ = Keys(database).create("test", Role.SERVICE, ACME)
    code = "from api.process import run_api; from synthralos.config.settings import load_settings as it; run_api(it())"
    with child(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE,
        env={"DATABASE_URL": sqlite_database, "PORT": "0", "PATH": "/usr/bin:/bin"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        found = re.search(r"http://[^\s]+", process.stdout.readline())
        assert found is not None
        with httpx.Client(base_url=found[0], headers={"Authorization": f"Bearer {secret}"}, timeout=60) as client:
            job_id = submitted(client)
            with client.stream("GET", f"{JOBS}/{job_id}/events") as stream:
                chunks = stream.iter_raw()
                next(chunks)
                process.send_signal(signal.SIGTERM)
                assert not list(chunks)
        assert process.wait(30) == 0
    database.close()
    with pytest.raises(OSError, match=r"."), socket.create_connection(("127.0.0.1", int(found[0].rpartition(":")[2]))):
        pass
