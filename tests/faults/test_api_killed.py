"""The API dies at the wrong moment, has no database, or is asked the same a hundred times (scenarios 6, 7, 10)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import sqlalchemy as sa

from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.domain.states import State
from synthralos.store.admin.keys import Keys
from synthralos.store.tables import all_jobs
from tests.fakes.plain_http import NO_TLS
from tests.faults.harness import Site
from tests.faults.harness_gates import ACCEPT, gate
from tests.faults.harness_network import proxied
from tests.faults.harness_processes import Api

_BODY = {"model": "fake/small", "prompt": "Say hello."}


def test_an_api_killed_between_commit_and_ring_loses_no_job(make_site: Callable[..., Site]) -> None:
    """It never answers. The job is there all the same, is found by the sweeper, and is the one that a repeat gets."""
    site = make_site()
    site.scheduler()
    site.worker()
    api, client = _api(site)
    with client, gate(site, ACCEPT, at="commit") as held, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.post, "/api/v1/jobs", json=_BODY, headers={"Idempotency-Key": "once"})
        held.wait_for()
        api.kill()
        assert isinstance(asked.exception(), httpx.TransportError)
    [row] = site.eventually(lambda: site.query(sa.select(all_jobs.c.id)), "the commit went through")
    site.accepted.append(row.id)
    site.check_promises()
    assert site.job(row.id).state == State.SUCCEEDED
    api.start()
    api.ready()
    with client_of(api, client.headers["Authorization"]) as again:
        answer = again.post("/api/v1/jobs", json=_BODY, headers={"Idempotency-Key": "once"})
    assert (answer.status_code, answer.json()["id"]) == (202, row.id)
    site.check_promises()
    assert len(site.provider.bill()) == 1


def test_an_api_killed_before_its_rings_went_out_loses_no_job(make_site: Callable[..., Site]) -> None:
    """The broker refuses it, so that it answers 202 and dies with the rings still in its hands."""
    site = make_site()
    with proxied(site.settings["broker_url"]) as (proxy, url):
        proxy.refuse()
        api, client = _api(site, broker_url=url)
        with client:
            answer = client.post("/api/v1/jobs", json=[_BODY] * 100)
        assert answer.status_code == 202
        site.accepted += [job["id"] for job in answer.json()["jobs"]]
        api.kill()
    site.scheduler()
    site.worker()
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 100}
    assert len(site.provider.bill()) == 100


def test_without_a_database_nothing_is_said_to_be_accepted(make_site: Callable[..., Site]) -> None:
    site = make_site()
    site.scheduler()
    site.worker()
    with proxied(site.settings["database_url"]) as (proxy, url):
        api, client = _api(site, database_url=url, submit_timeout=1)
        with client:
            site.accepted.append(client.post("/api/v1/jobs", json=_BODY).json()["id"])
            proxy.refuse()
            refused = [client.post("/api/v1/jobs", json=_BODY) for _ in range(3)]
            assert {answer.status_code for answer in refused} == {503}
            assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
            assert client.get("/health/ready").status_code == 503
            proxy.restore()
            answer = site.eventually(lambda: _accepted(client.post("/api/v1/jobs", json=_BODY)), "it accepts again")
            site.accepted.append(answer.json()["id"])
        assert api.runs()
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 2}


def test_one_idempotency_key_posted_a_hundred_times_at_once_makes_one_job(make_site: Callable[..., Site]) -> None:
    """At two API processes, so that not only one process's memory keeps them apart."""
    site = make_site()
    site.scheduler()
    site.worker()
    _, client = _api(site)
    second = site.api()
    second.ready()
    headers = {"Idempotency-Key": "the same"}
    with client, client_of(second, client.headers["Authorization"]) as other, ThreadPoolExecutor(32) as pool:
        clients = [client, other]
        asked = [pool.submit(clients[n % 2].post, "/api/v1/jobs", json=_BODY, headers=headers) for n in range(100)]
        answers = [each.result() for each in asked]
        different = client.post("/api/v1/jobs", json={**_BODY, "prompt": "Something else."}, headers=headers)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert different.status_code == 422
    site.accepted.append(answers[0].json()["id"])
    site.check_promises()
    assert len(site.provider.bill()) == 1


def _accepted(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code == 202 else None


def _api(site: Site, **settings: object) -> tuple[Api, httpx.Client]:
    """A running API, and a client with a key of its own."""
    secret, _ = Keys(site.database).create("test", Role.SERVICE, Scope("acme", "main", "ann"), plan="pro")
    api = site.api(**settings)
    api.ready()
    return api, client_of(api, f"Bearer {secret}")


def client_of(api: Api, authorization: str) -> httpx.Client:
    """A client of an API process."""
    return httpx.Client(verify=NO_TLS, base_url=api.url, headers={"Authorization": authorization}, timeout=30.0)
