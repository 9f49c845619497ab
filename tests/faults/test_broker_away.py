"""The broker's connections closed by force, the broker gone for 20 seconds, its memory wiped (scenario 5).

RabbitMQ is stopped and cut by a proxy between it and our processes, because other tests use the same server.
"""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
import sqlalchemy as sa

from synthralos.domain.states import State
from tests.fakes.broker_sites import rabbitmqctl
from tests.faults.harness import Site
from tests.faults.harness_network import proxied
from tests.faults.harness_processes import Process
from tests.faults.harness_servers import redis_server

_JOBS = 40
_AWAY = 20


def test_connections_that_are_cut_again_and_again_lose_nothing(
    make_site: Callable[..., Site], shared_vhost: str
) -> None:
    with proxied(shared_vhost) as (proxy, url):
        site = make_site(broker_url=url)
        scheduler, worker = site.scheduler(), site.worker()
        site.submit(_JOBS)
        site.check_promises()
        before = worker.resources()
        for number in range(1, 11):
            site.submit(_JOBS)
            proxy.cut()
            site.provider.wait_for_calls(number * _JOBS + 1)
            proxy.cut()
        site.check_promises()
        assert site.states() == {State.SUCCEEDED: 11 * _JOBS}
        _same_processes(scheduler, worker)
        worker.check_leaks(before, pooled=_JOBS)


def test_connections_that_rabbitmq_closes_by_force_lose_nothing(
    make_site: Callable[..., Site], amqp_vhost: str
) -> None:
    site = make_site(broker_url=amqp_vhost)
    scheduler, worker = site.scheduler(), site.worker()
    vhost = urlsplit(amqp_vhost).path.strip("/")
    for number in range(5):
        site.submit(_JOBS)
        site.provider.wait_for_calls(number * _JOBS + 1)
        rabbitmqctl("close_all_connections", "--vhost", vhost, "a test of faults")
    site.check_promises()
    assert site.states() == {State.SUCCEEDED: 5 * _JOBS}
    _same_processes(scheduler, worker)


def test_jobs_are_accepted_and_finished_while_rabbitmq_is_away(
    make_site: Callable[..., Site], shared_vhost: str
) -> None:
    with proxied(shared_vhost) as (proxy, url):
        site = make_site(broker_url=url)
        scheduler, worker = site.scheduler(), site.worker()
        site.provider.behave(hang=True)
        site.submit(_JOBS)
        site.provider.wait_for_calls(_JOBS)
        proxy.refuse()
        [(back_at,)] = site.query(sa.text(f"SELECT now() + interval '{_AWAY} seconds'"))
        site.provider.reset()
        site.submit(_JOBS)
        site.provider.release()
        site.eventually(lambda: site.states().get(State.SUCCEEDED) == _JOBS, "calls end without the broker")
        site.eventually(lambda: site.query(sa.text("SELECT now()"))[0][0] >= back_at, "the broker was away long enough")
        assert site.states() == {State.SUCCEEDED: _JOBS, State.QUEUED: _JOBS}
        proxy.restore()
        site.check_promises()
        assert site.states() == {State.SUCCEEDED: 2 * _JOBS}
        _same_processes(scheduler, worker)


@pytest.mark.timeout(300)
def test_redis_flushed_again_and_again_loses_nothing(make_site: Callable[..., Site], tmp_path: Path) -> None:
    """With messages waiting for a worker, and then with a worker that has fetched some."""
    with redis_server(tmp_path) as url, redis.Redis.from_url(url) as server:
        site = make_site(broker_url=url)
        site.scheduler()
        site.submit(_JOBS)
        assert site.doorbell.flush(10)
        server.flushall()
        worker = site.worker()
        for number in range(5):
            site.provider.wait_for_calls(number * _JOBS + 1)
            site.submit(_JOBS)
            server.flushall()
        site.check_promises()
        assert site.states() == {State.SUCCEEDED: 6 * _JOBS}
        assert worker.runs()


def _same_processes(*running: Process) -> None:
    assert all(process.runs() for process in running)
