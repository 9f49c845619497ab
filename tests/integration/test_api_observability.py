"""Metrics, errors and demand over HTTP: the same figures, whether they were summed or not."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from api.v1.observability_views import Demand, ErrorGroups, Metrics
from cli.main import app
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.spans import Span
from synthralos.domain.states import Transition
from synthralos.store.retention.digest import Digest
from synthralos.store.sql.database import Database
from synthralos_client import AsyncClient, Client
from tests.fakes.jobs import failure, new_job
from tests.integration.api_place import ACME, Place, api_over, core_over, fields_of, submitted

METRICS, ERRORS, DEMAND = (f"/api/v1/observability/{name}" for name in ("metrics", "errors", "demand"))

Bring = Callable[[Place], None]


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


@pytest.fixture
def client(place: Place) -> httpx.Client:
    return place.client()


def leave(place: Place) -> None:
    """No leader has come by: everything is read directly."""


def summed(place: Place) -> None:
    """The leader has summed everything."""
    Digest(place.core.database).finish()


@pytest.fixture(params=[leave, summed])
def bring(request: pytest.FixtureRequest) -> Bring:
    found: Bring = request.param
    return found


def ended(place: Place, client: httpx.Client, transition: Transition = Transition.SUCCEED, **fields: Any) -> str:
    job_id = submitted(client, **fields)
    more = {} if transition is Transition.SUCCEED else {"failure": failure().to_json()}
    place.finish(job_id, transition, **more)
    place.store.backdate(job_id, finished_at=2, created_at=12)
    return job_id


def groups(client: httpx.Client, **params: Any) -> dict[tuple[str, ...], dict[str, Any]]:
    answer = client.get(METRICS, params=params)
    assert answer.status_code == 200, answer.text
    Metrics.model_validate_json(answer.content)
    assert answer.json()["complete"] is True
    return {tuple(each["group"].values()): each for each in answer.json()["groups"]}


def test_metrics_are_summed_by_group(place: Place, client: httpx.Client, bring: Bring) -> None:
    ended(place, client, workspace="a")
    ended(place, client, workspace="a")
    ended(place, client, Transition.FAIL, workspace="b")
    bring(place)
    whole = groups(client)[()]
    assert (whole["jobs"], whole["calls"], whole["input_tokens"]) == (3, 3, 3000)
    assert whole["cost_usd"] == "0.0013275"
    assert whole["duration_seconds"]["p95"] == pytest.approx(10, rel=0.06)
    assert whole["jobs_per_second"] == pytest.approx(3 / 86_400, rel=0.01)
    by_state = groups(client, group_by="state,failure_class")
    assert {key: each["jobs"] for key, each in by_state.items()} == {
        ("succeeded", ""): 2, ("failed", "server_error"): 1,
    }  # fmt: skip
    assert {key: each["jobs"] for key, each in groups(client, group_by="workspace,day").items()} == {
        (workspace, datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z")): jobs for workspace, jobs in (("a", 2), ("b", 1))
    }  # fmt: skip
    assert groups(client, state="succeeded", workspace="a", deployment="sandbox/small@eu")[()]["jobs"] == 2
    assert groups(client, model="none") == {}
    assert sum(each["jobs"] for each in groups(client, group_by="minute").values()) == 3


def test_stages_tell_their_time_and_their_failures(place: Place, client: httpx.Client, bring: Bring) -> None:
    for workspace in ("a", "b"):
        job_id = submitted(client, workspace=workspace)
        at = datetime.now(UTC)
        failed, answered = (Span("execute", at, at + timedelta(seconds=2), status) for status in ("error", "ok"))
        place.finish(job_id, Transition.SUCCEED, spans=(failed, answered))
    bring(place)
    by_stage = groups(client, group_by="stage")[("execute",)]
    assert (by_stage["jobs"], by_stage["visits"], by_stage["failed_visits"]) == (2, 4, 2)
    assert by_stage["total_seconds"] == pytest.approx(8)
    assert by_stage["visit_seconds"]["p50"] == pytest.approx(2, rel=0.06)
    assert groups(client, stage="execute", workspace="a")[()]["visits"] == 2
    assert groups(client, group_by="workspace,stage", stage="execute").keys() == {("a", "execute"), ("b", "execute")}
    assert groups(place.client(Role.VIEWER, Scope("other")), group_by="stage") == {}
    assert len(groups(client, group_by="stage,hour", stage="execute")) == 1


def test_a_key_sees_the_sums_of_its_tenant(place: Place, client: httpx.Client, bring: Bring) -> None:
    ended(place, client, workspace="a")
    ended(place, client, Transition.FAIL, workspace="b")
    bring(place)
    seen = {}
    for scope in (EVERYTHING, ACME, Scope("acme", "a"), Scope("other")):
        viewer = place.client(Role.VIEWER, scope)
        found = viewer.get(ERRORS).json()["errors"]
        seen[scope] = (sum(each["jobs"] for each in groups(viewer).values()), sum(each["count"] for each in found))
    assert list(seen.values()) == [(2, 1), (2, 1), (1, 0), (0, 0)]
    assert place.client(Role.VIEWER, Scope("acme", "a", "ann")).get(METRICS).status_code == 403
    assert place.client(Role.VIEWER, ACME).get(METRICS, params={"group_by": "deployment"}).status_code == 403


def test_errors_are_grouped(place: Place, client: httpx.Client, bring: Bring) -> None:
    ids = [ended(place, client, Transition.FAIL) for _ in range(2)]
    ended(place, client)
    bring(place)
    answer = client.get(ERRORS)
    ErrorGroups.model_validate_json(answer.content)
    [group] = answer.json()["errors"]
    assert (group["class"], group["count"], sorted(group["jobs"])) == ("server_error", 2, sorted(ids))
    assert group["message"] == "a test made it server_error"
    assert sum(hour["count"] for hour in group["trend"]) == 2
    assert client.get(ERRORS, params={"failure_class": "timeout"}).json()["errors"] == []
    [seen] = place.client(Role.VIEWER).get(ERRORS).json()["errors"]
    assert (seen["deployment"], seen["count"], "a test" in seen["message"]) == (None, 2, False)


def ago(**time: float) -> str:
    return (datetime.now(UTC) - timedelta(**time)).isoformat()


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        (METRICS, {"group_by": "colour"}, "query.group_by"),
        (METRICS, {"group_by": "day,day"}, "query.group_by"),
        (METRICS, {"group_by": "stage,model"}, "query.group_by"),
        (METRICS, {"stage": "execute", "state": "failed"}, "query.group_by"),
        (METRICS, {"group_by": "minute", "since": ago(days=3)}, "query.since"),
        (METRICS, {"group_by": "hour", "since": ago(days=60)}, "query.since"),
        (METRICS, {"since": ago(days=500)}, "query.since"),
        (METRICS, {"since": ago(days=1), "until": ago(days=2)}, "query.since"),
        (METRICS, {"until": "0001-01-01T00:00:00Z"}, "query.until"),
        (ERRORS, {"since": ago(days=40)}, "query.since"),
        (DEMAND, {"lane": "fast"}, "query.lane"),
    ],
)
def test_what_is_not_kept_is_refused(client: httpx.Client, path: str, params: dict[str, str], field: str) -> None:
    answer = client.get(path, params=params)
    assert fields_of(answer) == [field]


def test_demand_tells_what_is_open(place: Place) -> None:
    admin = place.client(scope=EVERYTHING)
    soon = datetime.now(UTC) + timedelta(seconds=200)
    for _ in range(2):
        submitted(admin, organization="acme", deadline=soon.isoformat())
    bulk = submitted(admin, organization="acme", lane="bulk")
    place.started(bulk)
    place.store.claim(place.store.submit(new_job()))
    answer = admin.get(DEMAND)
    Demand.model_validate_json(answer.content)
    found = answer.json()
    assert (found["queued"], found["active"], found["parked"]) == (2, 2, 0)
    [guard] = [each for each in found["queues"] if (each["stage"], each["lane"]) == ("guard", "interactive")]
    assert (guard["queued"], [window["jobs"] for window in guard["due"]]) == (2, [0, 2, 0, 0])
    assert admin.get(DEMAND, params={"lane": "bulk"}).json()["queued"] == 0
    assert place.client(scope=ACME).get(DEMAND).status_code == 403


def test_clients_and_the_commands_tell_the_same(place: Place, client: httpx.Client) -> None:
    ended(place, client)
    ended(place, client, Transition.FAIL)
    secret = place.key(scope=EVERYTHING)
    with Client(place.url, secret) as ours:
        metrics, errors = (
            ours.observability.metrics(["state"]),
            ours.observability.errors(failure_class="server_error"),
        )
        demand = ours.observability.demand(lane="bulk")
    assert [each["jobs"] for each in metrics["groups"]] == [1, 1]
    assert [each["count"] for each in errors["errors"]] == [1]

    async def asking() -> list[Any]:
        async with AsyncClient(place.url, secret) as theirs:
            room = theirs.observability
            return [await room.metrics(["state"]), await room.errors(), await room.demand("guard")]

    asked = asyncio.run(asking())
    assert [each["jobs"] for each in asked[0]["groups"]] == [1, 1]
    assert asked[2]["queued"] == demand["queued"] == 0
    run = CliRunner(env={"SYNTHRALOS_URL": place.url, "SYNTHRALOS_API_KEY": secret})
    done = run.invoke(app, ["metrics", "--by", "state,hour", "--json"])
    assert sum(each["jobs"] for each in json.loads(done.stdout)["groups"]) == 2
    for arguments, word in (
        (["metrics", "--by", "stage"], "stage"),
        (["metrics"], "succeeded"),
        (["errors"], "server_error"),
        (["demand"], "guard"),
    ):
        shown = run.invoke(app, arguments)
        assert (shown.exit_code, word in shown.stdout) == (0, True)
