"""What every broker must do for us: RabbitMQ, Redis and the one in memory, through the real thing each."""

import contextlib
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from queue import PriorityQueue
from typing import Any
from urllib.parse import urlsplit

import dramatiq
import dramatiq.worker
import pytest

from synthralos.broker.actors import declare_actors
from synthralos.broker.base import DoorbellBroker
from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.broker.queues import BATCH, actor_name, queue_name
from synthralos.domain.ids import new_id
from synthralos.domain.states import Lane, Stage
from tests.fakes.broker_sites import (
    MemorySite,
    RabbitSite,
    Site,
    make_vhost,
    rabbitmq_vhost,
    rabbitmqctl,
    redis_site,
)

GUARD, EXECUTE, ANALYZE = Stage.GUARD, Stage.EXECUTE, Stage.ANALYZE
INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK
PATIENCE = 20.0


class Arrivals:
    """A stage handler that remembers what came, and lets a test wait for it."""

    def __init__(self) -> None:
        self.batches: list[tuple[Stage, list[str]]] = []
        self._changed = threading.Condition()

    def __call__(self, stage: Stage, ids: list[str], **_: Any) -> None:
        with self._changed:
            self.batches.append((stage, ids))
            self._changed.notify_all()

    def ids(self, stage: Stage) -> list[str]:
        return [job_id for at, ids in self.batches if at is stage for job_id in ids]

    def wait_for(self, stage: Stage, ids: list[str]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: set(ids) <= set(self.ids(stage)), PATIENCE)


@pytest.fixture(scope="module")
def vhost() -> Iterator[str]:
    if os.environ.get("SYNTHRALOS_TEST_EMBEDDED_ONLY") == "1":
        pytest.skip("only the embedded default is tested: RabbitMQ is left out")
    with rabbitmq_vhost() as url:
        yield url


@pytest.fixture
def amqp(vhost: str) -> Site:
    return RabbitSite(vhost)


@pytest.fixture
def redis() -> Iterator[Site]:
    if os.environ.get("SYNTHRALOS_TEST_EMBEDDED_ONLY") == "1":
        pytest.skip("only the embedded default is tested: Redis is left out")
    with redis_site() as site:
        yield site


@pytest.fixture
def memory() -> Site:
    return MemorySite("memory://")


@pytest.fixture(params=["amqp", "redis", "memory"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["amqp", "redis"])
def remote(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture(autouse=True)
def _consumers_restart_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", 0.05)


@contextlib.contextmanager
def opened(broker: DoorbellBroker) -> Iterator[DoorbellBroker]:
    try:
        yield broker
    finally:
        broker.close()


@contextlib.contextmanager
def doorbell_on(broker: DoorbellBroker, site: Site, **options: Any) -> Iterator[BrokerDoorbell]:
    doorbell = BrokerDoorbell(broker, site.namespace, first_backoff=0.02, max_backoff=0.1, **options)
    try:
        yield doorbell
    finally:
        doorbell.close(0.2)


@contextlib.contextmanager
def serving(
    broker: DoorbellBroker, site: Site, stages: list[Stage], handle: Any, threads: int = 2
) -> Iterator[dramatiq.Worker]:
    declare_actors(broker, site.namespace, stages, handle)
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=threads)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=10_000)


def some_ids(count: int) -> list[str]:
    return [new_id() for _ in range(count)]


def test_what_is_rung_arrives_exactly_as_rung(site: Site) -> None:
    arrivals = Arrivals()
    rung = {GUARD: some_ids(150), EXECUTE: some_ids(3), ANALYZE: some_ids(1)}
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        doorbell.ring(GUARD, INTERACTIVE, rung[GUARD])
        doorbell.ring(EXECUTE, BULK, rung[EXECUTE])
        with serving(broker, site, [GUARD, EXECUTE, ANALYZE], arrivals):
            doorbell.ring(ANALYZE, INTERACTIVE, rung[ANALYZE])
            for stage, ids in rung.items():
                arrivals.wait_for(stage, ids)
        assert (doorbell.rung_ids, doorbell.messages, doorbell.dropped_ids, doorbell.failures) == (154, 5, 0, 0)
        assert doorbell.healthy
    assert {stage: Counter(arrivals.ids(stage)) for stage in rung} == {s: Counter(ids) for s, ids in rung.items()}
    assert all(0 < len(ids) <= BATCH for _, ids in arrivals.batches)


def test_ids_that_come_during_a_publish_share_the_next_message(memory: Site) -> None:
    publishing, go_on = threading.Event(), threading.Event()

    class Slow(dramatiq.Middleware):
        def before_enqueue(self, *_: object) -> None:
            publishing.set()
            go_on.wait(PATIENCE)

    with opened(memory.broker()) as broker, doorbell_on(broker, memory) as doorbell:
        broker.add_middleware(Slow())
        doorbell.ring(GUARD, BULK, some_ids(1))
        assert publishing.wait(PATIENCE)
        for _ in range(40):
            doorbell.ring(GUARD, BULK, some_ids(2))
        go_on.set()
        assert doorbell.flush(PATIENCE)
        assert (doorbell.rung_ids, doorbell.messages) == (81, 3)


def test_interactive_goes_before_bulk_when_both_wait(site: Site) -> None:
    class WatchedQueue(PriorityQueue):  # type: ignore[type-arg]
        def put(self, *args: Any, **kwargs: Any) -> None:
            super().put(*args, **kwargs)
            fetched.release()

    fetched, busy, go_on = threading.Semaphore(0), threading.Event(), threading.Event()
    order: list[str] = []
    done = threading.Event()

    def handle(stage: Stage, ids: list[str], **_: Any) -> None:
        if stage is GUARD:
            busy.set()
            go_on.wait(PATIENCE)
            return
        order.extend(ids)
        if len(order) == 2:
            done.set()

    bulk, interactive = some_ids(1), some_ids(1)
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        declare_actors(broker, site.namespace, [GUARD, EXECUTE], handle)
        worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=1)
        worker.work_queue = WatchedQueue()
        worker.start()
        try:
            doorbell.ring(GUARD, BULK, some_ids(1))
            assert busy.wait(PATIENCE)
            assert fetched.acquire(timeout=PATIENCE)
            for lane, ids in ((BULK, bulk), (INTERACTIVE, interactive)):
                doorbell.ring(EXECUTE, lane, ids)
                assert fetched.acquire(timeout=PATIENCE)
            go_on.set()
            assert done.wait(PATIENCE)
        finally:
            go_on.set()
            worker.stop(timeout=10_000)
    assert order == interactive + bulk


def test_a_worker_consumes_only_the_stages_it_was_given(site: Site) -> None:
    arrivals = Arrivals()
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        with serving(broker, site, [GUARD], arrivals) as worker:
            doorbell.ring(ANALYZE, BULK, some_ids(1))
            ids = some_ids(1)
            doorbell.ring(GUARD, BULK, ids)
            arrivals.wait_for(GUARD, ids)
            assert set(worker.consumers) == {queue_name(site.namespace, GUARD, lane) for lane in Lane}
        assert doorbell.depth(ANALYZE, BULK) == 1


def test_depth_counts_the_messages_that_wait(site: Site) -> None:
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        assert doorbell.depth(GUARD, BULK) == 0
        doorbell.ring(GUARD, BULK, some_ids(3 * BATCH))
        assert doorbell.flush(PATIENCE)
        assert doorbell.depth(GUARD, BULK) == 3
        assert doorbell.depth(GUARD, INTERACTIVE) == 0


def test_close_rings_what_is_left(site: Site) -> None:
    with opened(site.broker()) as broker:
        doorbell = BrokerDoorbell(broker, site.namespace)
        doorbell.ring(GUARD, BULK, some_ids(20 * BATCH))
        doorbell.close(PATIENCE)
        assert (doorbell.rung_ids, doorbell.dropped_ids) == (20 * BATCH, 0)
        assert doorbell.depth(GUARD, BULK) == 20
        doorbell.ring(GUARD, BULK, some_ids(1))
        assert doorbell.dropped_ids == 1


def test_a_worker_that_stops_gives_back_what_it_did_not_do(site: Site) -> None:
    started, go_on = threading.Event(), threading.Event()

    def handle(stage: Stage, ids: list[str], **_: Any) -> None:
        started.set()
        go_on.wait(PATIENCE)

    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        with serving(broker, site, [GUARD], handle, threads=1) as worker:
            doorbell.ring(GUARD, BULK, some_ids(3 * BATCH))
            assert doorbell.flush(PATIENCE)
            assert started.wait(PATIENCE)
            for thread in worker.workers:
                thread.stop()
            go_on.set()
        assert doorbell.depth(GUARD, BULK) == 2


def test_a_wiped_broker_is_set_up_anew(site: Site) -> None:
    arrivals = Arrivals()
    before, after = some_ids(1), some_ids(1)
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        with serving(broker, site, [GUARD], arrivals):
            doorbell.ring(GUARD, BULK, before)
            arrivals.wait_for(GUARD, before)
            site.wipe(broker)
            doorbell.ring(GUARD, BULK, after)
            arrivals.wait_for(GUARD, after)
        assert doorbell.failures == 0


def test_only_the_queues_of_the_lanes_exist(site: Site) -> None:
    arrivals = Arrivals()
    ids = some_ids(1)
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        with serving(broker, site, [GUARD, EXECUTE], arrivals) as worker:
            doorbell.ring(GUARD, BULK, ids)
            arrivals.wait_for(GUARD, ids)
            assert len(worker.consumers) == 4
            doorbell.ring(ANALYZE, BULK, ids)
            assert doorbell.flush(PATIENCE)
        names = site.names(broker)
    assert any(queue_name(site.namespace, ANALYZE, BULK) in name for name in names)
    assert not [name for name in names if ".DQ" in name or ".XQ" in name]


def test_a_malformed_message_is_dropped(site: Site) -> None:
    arrivals = Arrivals()
    ids = some_ids(1)
    malformed: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        (("guard",), {}),
        (([1, 2],), {}),
        ((ids, ids), {}),
        ((ids,), {"extra": 1}),
    ]
    queue, actor = queue_name(site.namespace, GUARD, BULK), actor_name(GUARD, BULK)
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        for args, kwargs in malformed:
            broker.enqueue(dramatiq.Message(queue, actor, args, kwargs, {}))
        broker.enqueue(dramatiq.Message(queue, "unknown", (ids,), {}, {}))
        doorbell.ring(GUARD, BULK, ids)
        with serving(broker, site, [GUARD], arrivals, threads=1):
            arrivals.wait_for(GUARD, ids)
        assert arrivals.batches == [(GUARD, ids)]
        assert doorbell.depth(GUARD, BULK) == 0
        broker.hang_up()


def test_a_handler_that_fails_is_not_called_again_for_that_message(site: Site) -> None:
    arrivals, calls = Arrivals(), defaultdict(int)
    bad, good = some_ids(1), some_ids(1)

    def handle(stage: Stage, ids: list[str], **_: Any) -> None:
        calls[ids[0]] += 1
        if ids == bad:
            raise RuntimeError("a bug in a stage")
        arrivals(stage, ids)

    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        with serving(broker, site, [GUARD, EXECUTE], handle, threads=1):
            doorbell.ring(GUARD, BULK, bad)
            assert doorbell.flush(PATIENCE)
            doorbell.ring(GUARD, BULK, good)
            arrivals.wait_for(GUARD, good)
        assert doorbell.depth(GUARD, BULK) == 0
    assert calls == {bad[0]: 1, good[0]: 1}


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
        assert time.monotonic() - started < 1.0
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
        assert time.monotonic() - started < 2.0
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
        assert time.monotonic() - started < 2.0
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
        assert time.monotonic() - began < 5.0


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
