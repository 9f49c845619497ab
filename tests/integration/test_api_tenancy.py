"""Keys and tenants: who gets in, and that nobody sees or moves what is another's."""

from collections.abc import Iterator

import pytest

import api.http.auth
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.store.sql.database import Database
from synthralos.store.tables import jobs
from tests.integration.api_place import JOBS, TRACES, Place, api_over, core_over, fields_of, submitted

ANN = Scope("acme", "main", "ann")


@pytest.fixture
def place(database: Database) -> Iterator[Place]:
    with api_over(core_over(database)) as place:
        yield place


def test_without_a_valid_key_nobody_gets_in(place: Place) -> None:
    client = place.client_with(None)
    wrong = ("Bearer", "Basic abc", "Bearer sk-syn-unknown", "sk-syn-x", "Bearer other", f"Bearer sk-syn-{'x' * 999}")
    for headers in ({}, *({"Authorization": value} for value in wrong)):
        for method, path in (("GET", JOBS), ("POST", JOBS), ("GET", TRACES), ("POST", f"{JOBS}/x/cancel")):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_revoked_key_opens_nothing_once_the_cache_has_forgotten_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(api.http.auth, "time", _Clock(clock))
    secret, key = place.keys.create("test", Role.ADMIN, Scope("acme"))
    client = place.client_with(secret)
    assert client.get(JOBS).status_code == 200
    assert place.keys.revoke(key.id, EVERYTHING)
    clock[0] += api.http.auth.CACHE_SECONDS
    assert client.get(JOBS).status_code == 401


def test_a_key_revoked_before_its_first_use_opens_nothing(place: Place) -> None:
    secret, key = place.keys.create("test", Role.ADMIN, Scope("acme"))
    place.keys.revoke(key.id, EVERYTHING)
    assert place.client_with(secret).post(JOBS, json={"prompt": "x"}).status_code == 401


def test_what_is_anothers_does_not_exist(place: Place) -> None:
    job_id = submitted(place.client(scope=ANN))
    trace_id = place.store.job(job_id)["trace_id"]
    for stranger in (Scope("other"), Scope("acme", "side"), Scope("acme", "main", "bob")):
        client = place.client(Role.ADMIN, stranger)
        for path in (f"{JOBS}/{job_id}", f"{JOBS}/{job_id}?wait=1", f"{JOBS}/{job_id}/events", f"{TRACES}/{job_id}",
                     f"{TRACES}/{trace_id}", f"{TRACES}/{trace_id}/export"):  # fmt: skip
            assert client.get(path).status_code == 404, path
        for operation in ("cancel", "retry", "reroute"):
            assert client.post(f"{JOBS}/{job_id}/{operation}").status_code == 404
        assert client.get(JOBS).json()["jobs"] == []
        assert client.get(JOBS, params={"trace_id": trace_id}).json()["jobs"] == []
        assert client.get(TRACES).json()["traces"] == []
    assert place.store.state(job_id) == "queued"


def test_what_is_within_the_scope_is_seen(place: Place) -> None:
    job_id = submitted(place.client(scope=ANN))
    for scope in (EVERYTHING, Scope("acme"), Scope("acme", "main"), ANN):
        client = place.client(Role.VIEWER, scope)
        assert client.get(f"{JOBS}/{job_id}").json()["id"] == job_id
        assert [job["id"] for job in client.get(JOBS).json()["jobs"]] == [job_id]


def test_a_trace_shows_each_tenant_its_own_jobs(place: Place) -> None:
    headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
    clients = [place.client(scope=Scope(name)) for name in ("acme", "other")]
    ids = [client.post(JOBS, json={"prompt": "x"}, headers=headers).json()["id"] for client in clients]
    for client, job_id in zip(clients, ids, strict=True):
        [listed] = client.get(TRACES).json()["traces"]
        assert (listed["jobs"], listed["job_count"]) == ([job_id], 1)
        assert [part["job"]["id"] for part in client.get(f"{TRACES}/{'ab' * 16}").json()["jobs"]] == [job_id]


def test_a_bound_key_submits_for_its_own_tenant_alone(place: Place) -> None:
    client = place.client(Role.SERVICE, ANN)
    own = {"organization": "acme", "workspace": "main", "user": "ann"}
    row = place.store.job(submitted(client, **own))
    assert (row["organization"], row["workspace"], row["user_id"]) == ("acme", "main", "ann")
    for field in own:
        answer = client.post(JOBS, json=[{"prompt": "x"}, {"prompt": "x", **own, field: "else"}])
        assert answer.status_code == 403
        assert fields_of(answer) == [f"jobs[1].{field}"]
    assert len(place.store.rows(jobs)) == 1


def test_one_idempotency_key_is_for_one_workspace(place: Place) -> None:
    body = [{"prompt": "x"}, {"prompt": "x", "workspace": "other"}]
    client = place.client(Role.SERVICE)
    answer = client.post(JOBS, json=body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, fields_of(answer)) == (422, ["jobs[1].workspace"])
    assert client.post(JOBS, json=body).status_code == 202


class _Clock:
    def __init__(self, now: list[float]) -> None:
        self._now = now

    def monotonic(self) -> float:
        return self._now[0]
