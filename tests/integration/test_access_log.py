"""The access log: a line for each request, whichever way it came in, without ids in its route and without secrets."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from synthralos.domain.permissions import Role
from synthralos.store.sql.database import Database
from tests.integration.api_place import JOBS, TRACES, api_over, core_over, submitted

Lines = Callable[[], list[dict[str, Any]]]
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The fields of the lines that were written so far."""
    caplog.set_level(logging.INFO, "api.access")
    names = ("method", "route", "status", "trace_id")

    def written() -> list[dict[str, Any]]:
        records = [r.__dict__ for r in caplog.records if r.name == "api.access"]
        return [{name: record[name] for name in names if name in record} for record in records]

    return written


@pytest.mark.parametrize("shortcut", [True, False])
def test_both_ways_into_the_api_have_their_lines(sqlite: Database, shortcut: bool, lines: Lines) -> None:
    with api_over(core_over(sqlite, access_log_sample=1.0), shortcut=shortcut) as place:
        client = place.client()
        answer = client.post(JOBS, json={"prompt": "x"}, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
        client.get(f"{JOBS}/{answer.json()['id']}")
        client.get(TRACES)
        client.get("/nowhere")
        client.get("/health/live")
    assert lines() == [
        {"method": "POST", "route": JOBS, "status": 202, "trace_id": TRACE},
        {"method": "GET", "route": f"{JOBS}/{{job_id}}", "status": 200},
        {"method": "GET", "route": TRACES, "status": 200},
        {"method": "GET", "route": "unknown", "status": 404},
        {"method": "GET", "route": "/health/live", "status": 200},
    ]


def test_frequent_requests_are_sampled_and_refusals_are_not(sqlite: Database, lines: Lines) -> None:
    with api_over(core_over(sqlite, access_log_sample=0.1)) as place:
        client, viewer = place.client(), place.client(Role.VIEWER)
        for _ in range(30):
            submitted(client)
        for _ in range(5):
            assert viewer.post(JOBS, json={"prompt": "x"}).status_code == 403
    assert [line["status"] for line in lines()].count(202) == 3
    assert [line["status"] for line in lines()].count(403) == 5


def test_it_can_be_switched_off(sqlite: Database, lines: Lines) -> None:
    with api_over(core_over(sqlite, access_log=False)) as place:
        assert place.client().get("/nowhere").status_code == 404
    assert lines() == []


@pytest.fixture
def sqlite(_migrated_sqlite: Any, tmp_path: Any) -> Any:
    import shutil
    from contextlib import closing

    with closing(Database(f"sqlite:///{shutil.copy(_migrated_sqlite, tmp_path)}")) as database:
        yield database
