"""What every broker must do for us while it is away, or silent, or was wiped."""

import threading
import time
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import pytest

from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.broker.queues import BATCH, queue_name
from synthralos.domain.states import Lane, Stage
from tests.fakes.broker_sites import (
    RabbitSite,
    Site,
    make_vhost,
    rabbitmq_vhost,
    rabbitmqctl,
)
from tests.fakes.doorbell_place import (
    BULK,
    GUARD,
    PATIENCE,
    Arrivals,
    doorbell_on,
    opened,
    serving,
    some_ids,
)

pytestmark = [
    pytest.mark.usefixtures("consumers_restart_soon", "lost_connections_are_collected"),
    # What this ignores is closed by Python's garbage collection, which the fixture runs before the next test begins.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

AT_ONCE = 15.0
"""Seconds, enough on a busy machine for what waits for nothing; what waits for a broker that is away has no end."""


def test_what_is_rung_while_the_broker_is_away_arrives_when_it_is_back(remote: Site) -> None:
    arrivals = Arrivals()
    ids = some_ids(500)
    with (
        remote.proxy() as proxy,
        opened(remote.broker(proxy)) as broker,
        doorbell_on(broker, remote) as doorbell,
        serving(broker, remote, [GUARD], arrivals),
    ):
        first = some_ids(1)
        doorbell.ring(GUARD, BULK, first)
        arrivals.wait_for(GUARD, first)
        proxy.refuse()
        started = time.monotonic()
        for job_id in ids:
            doorbell.ring(GUARD, BULK, [job_id])
        assert time.monotonic() - started < AT_ONCE
        assert not doorbell.flush(0.5)
        assert not doorbell.healthy
        assert doorbell.depth(GUARD, BULK) is None
        proxy.restore()
        arrivals.wait_for(GUARD, ids)
        assert doorbell.flush(PATIENCE)
        assert doorbell.healthy
        assert doorbell.dropped_ids == 0
        assert doorbell.failures > 0


def test_a_connection_that_died_idle_costs_no_ring(remote: Site) -> None:
    with remote.proxy() as proxy, opened(remote.broker(proxy)) as broker, doorbell_on(broker, remote) as doorbell:
        for rings in (1, 2, 3):
            doorbell.ring(GUARD, BULK, some_ids(1))
            assert doorbell.flush(PATIENCE)
            assert doorbell.depth(GUARD, BULK) == rings
            proxy.cut()
        assert doorbell.failures == 0


def test_depth_is_unknown_while_the_broker_is_away(remote: Site) -> None:
    with remote.proxy() as proxy, opened(remote.broker(proxy)) as broker, doorbell_on(broker, remote) as doorbell:
        assert doorbell.depth(GUARD, BULK) == 0
        proxy.refuse()
        assert doorbell.depth(GUARD, BULK) is None
        assert doorbell.depth(GUARD, BULK) is None
        proxy.restore()
        assert doorbell.depth(GUARD, BULK) == 0


def test_close_gives_up_in_time_when_the_broker_fell_silent(remote: Site) -> None:
    with remote.proxy() as proxy, opened(remote.broker(proxy)) as broker, doorbell_on(broker, remote) as doorbell:
        doorbell.ring(GUARD, BULK, some_ids(1))
        assert doorbell.flush(PATIENCE)
        proxy.stall()
        doorbell.ring(GUARD, BULK, some_ids(1))
        started = time.monotonic()
        doorbell.close(0.5)
        assert time.monotonic() - started < AT_ONCE
        proxy.restore()


def test_a_broker_that_never_was_there_is_waited_for(remote: Site) -> None:
    with remote.proxy() as proxy, opened(remote.broker(proxy)) as broker, doorbell_on(broker, remote) as doorbell:
        proxy.refuse()
        doorbell.ring(GUARD, BULK, some_ids(1))
        assert not doorbell.flush(0.3)
        proxy.restore()
        assert doorbell.flush(PATIENCE)
        assert doorbell.depth(GUARD, BULK) == 1


def test_close_gives_up_in_time_when_the_broker_is_away(remote: Site) -> None:
    with remote.proxy() as proxy, opened(remote.broker(proxy)) as broker:
        proxy.refuse()
        doorbell = BrokerDoorbell(broker, remote.namespace)
        doorbell.ring(GUARD, BULK, some_ids(500))
        started = time.monotonic()
        doorbell.close(0.5)
        assert time.monotonic() - started < AT_ONCE
        assert doorbell.rung_ids == 0


def test_too_much_to_remember_drops_the_oldest_and_counts_them(remote: Site) -> None:
    arrivals = Arrivals()
    ids = some_ids(1000)
    with remote.proxy() as proxy, opened(remote.broker(proxy)) as broker:
        proxy.refuse()
        with doorbell_on(broker, remote, max_pending=100) as doorbell:
            doorbell.ring(GUARD, BULK, ids[:500])
            doorbell.ring(GUARD, BULK, ids[500:])
            assert not doorbell.flush(0.3)
            assert doorbell.pending_ids <= 100
            proxy.restore()
            with serving(broker, remote, [GUARD], arrivals):
                arrivals.wait_for(GUARD, ids[-100:])
                assert doorbell.flush(PATIENCE)
            assert doorbell.rung_ids + doorbell.dropped_ids == 1000
            assert 100 <= doorbell.rung_ids <= 100 + BATCH


def test_a_worker_stops_in_time_when_the_broker_is_away(remote: Site) -> None:
    started, go_on = threading.Event(), threading.Event()

    def handle(stage: Stage, ids: list[str], **_: Any) -> None:
        started.set()
        go_on.wait(PATIENCE)

    with remote.proxy() as proxy, opened(remote.broker(proxy)) as broker, doorbell_on(broker, remote) as doorbell:
        with serving(broker, remote, [GUARD], handle, threads=1):
            doorbell.ring(GUARD, BULK, some_ids(3 * BATCH))
            assert started.wait(PATIENCE)
            proxy.refuse()
            go_on.set()
            began = time.monotonic()
        assert time.monotonic() - began < AT_ONCE


def test_a_vhost_that_is_made_anew_gets_its_queues_back(vhost: str) -> None:
    arrivals = Arrivals()
    before, after = some_ids(1), some_ids(1)
    with rabbitmq_vhost() as url:
        site = RabbitSite(url)
        with (
            opened(site.broker()) as broker,
            doorbell_on(broker, site) as doorbell,
            serving(broker, site, [GUARD], arrivals),
        ):
            doorbell.ring(GUARD, BULK, before)
            arrivals.wait_for(GUARD, before)
            name = urlsplit(url).path.strip("/")
            rabbitmqctl("delete_vhost", name)
            make_vhost(name)
            doorbell.ring(GUARD, BULK, after)
            arrivals.wait_for(GUARD, after)


def test_a_message_that_a_worker_did_not_acknowledge_comes_again_as_a_doubtful_one(amqp: Site) -> None:
    came: Queue[tuple[list[str], bool]] = Queue()

    def handle(stage: Stage, ids: list[str], *, doubtful: bool, lane: Lane) -> None:
        came.put((ids, doubtful))

    dropped, fresh = some_ids(1), some_ids(1)
    with opened(amqp.broker()) as broker, doorbell_on(broker, amqp) as doorbell:
        doorbell.ring(GUARD, BULK, dropped)
        assert doorbell.flush(PATIENCE)
        consumer = broker.consume(queue_name(amqp.namespace, GUARD, BULK))
        assert next(consumer) is not None
        consumer.close()
        with serving(broker, amqp, [GUARD], handle):
            assert came.get(timeout=PATIENCE) == (dropped, True)
            doorbell.ring(GUARD, BULK, fresh)
            assert came.get(timeout=PATIENCE) == (fresh, False)
