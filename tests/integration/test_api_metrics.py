"""`GET /metrics`: for keys of the whole installation, in Prometheus's format, with what this process did."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.store.sql.database import Database
from tests.integration.api_place import ACME, JOBS, Place, api_over, core_over, submitted


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def figures(client: httpx.Client) -> dict[tuple[str, str], float]:
    """(name, its labels as JSON) and value of each sample."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, labelled(**s.labels)): s.value for family in families for s in family.samples}


def labelled(**labels: Any) -> str:
    return json.dumps(labels, sort_keys=True)


def test_a_key_of_the_whole_installation_may_be_a_viewer(place: Place) -> None:
    assert place.client(Role.VIEWER, EVERYTHING).get("/metrics").status_code == 200


def test_a_tenant_and_a_stranger_see_no_metrics(place: Place) -> None:
    assert place.client(Role.ADMIN, ACME).get("/metrics").status_code == 403
    assert place.client_with(None).get("/metrics").status_code == 401


def test_what_was_accepted_and_asked_is_counted_with_both_ways_into_the_api(place: Place) -> None:
    client = place.client(Role.ADMIN, EVERYTHING)
    who = {"organization": "acme"}
    first = submitted(client, **who)
    client.post(JOBS, json=[{"prompt": "x", "lane": "bulk", **who}, {"prompt": "y", "lane": "interactive", **who}])
    headers = {"Idempotency-Key": "once"}
    for _ in range(2):
        assert client.post(JOBS, json={"prompt": "x", "lane": "bulk", **who}, headers=headers).status_code == 202
    assert client.get(f"{JOBS}/{first}").status_code == 200
    assert client.get(JOBS).status_code == 200
    assert client.post(f"{JOBS}/{first}/cancel").status_code == 200
    found = figures(client)
    lanes = {
        lane: found.get(("synthralos_jobs_accepted_total", labelled(lane=lane)), 0) for lane in ("bulk", "interactive")
    }
    assert sum(lanes.values()) == 4
    requests = {
        labels: value for (name, labels), value in found.items() if name == "synthralos_http_request_seconds_count"
    }
    assert requests[labelled(method="POST", route=JOBS, status="202")] == 4
    assert requests[labelled(method="GET", route=f"{JOBS}/{{job_id}}", status="200")] == 1
    assert requests[labelled(method="GET", route=JOBS, status="200")] == 1
    ended = {labels: v for (name, labels), v in found.items() if name == "synthralos_jobs_ended_total"}
    assert [json.loads(labels)["state"] for labels in ended] == ["cancelled"]
    assert found["synthralos_commit_items_sum", labelled(commit="accept")] == 4
    assert first not in json.dumps([labels for _, labels in found])


def test_paths_that_nobody_serves_are_one_route(place: Place) -> None:
    client = place.client(Role.ADMIN, EVERYTHING)
    for number in range(5):
        client.get(f"/nowhere/{number}")
    found = figures(client)
    assert found["synthralos_http_request_seconds_count", labelled(method="GET", route="unknown", status="404")] == 5
