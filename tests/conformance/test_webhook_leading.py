"""Webhooks on both databases: who delivers, what a leader leaves to the next, and that nobody holds up another."""

import threading
import time
from contextlib import ExitStack

import sqlalchemy as sa

from scheduler.delivering.fan_out import FanOut
from synthralos.domain.delivering import DeliveryState, Target
from synthralos.domain.ids import new_id
from synthralos.store.queue.deliveries import Deliveries
from synthralos.store.queue.happenings import tell
from synthralos.store.tables import deliveries
from tests.conformance.test_store_feed import opened
from tests.conformance.test_webhook_delivery import told
from tests.fakes.feeds import settle
from tests.fakes.receivers import Post, Receiver, receiver
from tests.fakes.schedules import Leader
from tests.fakes.scripted_server import Answer, Asked
from tests.fakes.stores import Store


def test_one_that_hangs_holds_up_no_other(store: Store, hook: Receiver) -> None:
    let = threading.Event()

    def hang(asked: Asked) -> Answer:
        let.wait(120)
        return Answer(200, {})

    with ExitStack() as stack:
        stack.callback(let.set)
        post = stack.enter_context(Post(store, threads=8, timeout=1.0).running())
        hanging = [stack.enter_context(receiver()) for _ in range(12)]
        for each in hanging:
            each.answer = hang
            post.endpoint(each.url)
        post.endpoint(hook.url)
        began = time.monotonic()
        for number in range(5):
            told(post, str(number))
        assert hook.types(5) == ["breaker.opened"] * 5
        assert time.monotonic() - began < 60
        let.set()


def test_what_was_put_on_its_way_by_a_leader_that_is_gone_is_sent_by_the_next(store: Store, hook: Receiver) -> None:
    """A leader is gone between writing rows and sending; and one between sending and writing down what became of it."""
    first = Post(store)
    made = first.endpoint(hook.url)
    with store.database.transaction() as connection:
        tell(connection, [opened("one", "acme")])
    targets = first.channel.targets()
    first.delivering._fan_out.positions(targets)
    assert first.lead is not None
    settle(store.database)
    first.delivering._fan_out.round(first.lead, targets)
    [due] = Deliveries(store.database).due(targets[0], 10).sendings
    first.channel.deliver(due)
    first.poster.close()
    with Post(store, lead=first.lead).running() as second:
        ids = [hook.next().headers["webhook-id"] for _ in range(2)]
        assert ids == [due.event.id] * 2
        second.until(made, DeliveryState.DELIVERED, 1)
        assert len(second.deliveries(made)) == 1


def test_who_does_not_lead_puts_nothing_on_its_way(store: Store, hook: Receiver) -> None:
    old = Post(store)
    old.endpoint(hook.url)
    assert old.lead is not None
    lost = old.lead._replace(term=old.lead.term - 1)
    with store.database.transaction() as connection:
        tell(connection, [opened("one", "acme")])
    settle(store.database)
    targets = old.channel.targets()
    old.delivering._fan_out.positions(targets)
    assert old.delivering._fan_out.round(lost, targets) == ({}, False)
    with store.database.snapshot() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(deliveries)).scalar_one() == 0


def test_a_channel_is_behind_until_every_target_has_what_can_be_read(store: Store) -> None:
    targets = [Target(new_id()), Target(new_id())]
    lead, fan_out = Leader(store).lead, FanOut(store.database, "webhooks")
    settle(store.database)
    assert lead is not None
    fan_out.positions(targets)
    fan_out.round(lead, targets)
    assert not fan_out.behind(targets)
    with store.database.transaction() as connection:
        tell(connection, [opened("small", "acme")])
    settle(store.database)
    fan_out.round(lead, targets[:1])
    assert fan_out.behind(targets)
    assert not fan_out.behind(targets[:1])
    fan_out.round(lead, targets)
    assert not fan_out.behind(targets)
