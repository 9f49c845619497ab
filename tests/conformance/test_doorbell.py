"""What every broker must do for us: RabbitMQ, Redis and the one in memory, through the real thing each."""

import threading
from collections import Counter, defaultdict
from queue import PriorityQueue
from typing import Any

import dramatiq
import dramatiq.worker
import pytest

from synthralos.broker.actors import declare_actors
from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.broker.queues import BATCH, actor_name, queue_name
from synthralos.domain.states import Lane, Stage
from tests.fakes.broker_sites import (
    Site,
)
from tests.fakes.doorbell_place import (
    ANALYZE,
    BULK,
    EXECUTE,
    GUARD,
    INTERACTIVE,
    PATIENCE,
    Arrivals,
    doorbell_on,
    opened,
    serving,
    some_ids,
)

pytestmark = pytest.mark.usefixtures("consumers_restart_soon")


def test_what_is_rung_arrives_exactly_as_rung(site: Site) -> None:
    arrivals = Arrivals()
    rung = {GUARD: some_ids(2 * BATCH + 1), EXECUTE: some_ids(3), ANALYZE: some_ids(1)}
    with opened(site.broker()) as broker, doorbell_on(broker, site) as doorbell:
        doorbell.ring(GUARD, INTERACTIVE, rung[GUARD])
        doorbell.ring(EXECUTE, BULK, rung[EXECUTE])
        with serving(broker, site, [GUARD, EXECUTE, ANALYZE], arrivals):
            doorbell.ring(ANALYZE, INTERACTIVE, rung[ANALYZE])
            for stage, ids in rung.items():
                arrivals.wait_for(stage, ids)
        assert (doorbell.rung_ids, doorbell.messages) == (2 * BATCH + 5, 5)
        assert (doorbell.dropped_ids, doorbell.failures) == (0, 0)
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
        for _ in range(BATCH // 2 + 1):
            doorbell.ring(GUARD, BULK, some_ids(2))
        go_on.set()
        assert doorbell.flush(PATIENCE)
        assert (doorbell.rung_ids, doorbell.messages) == (BATCH + 3, 3)


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
