"""Receivers of webhooks over real HTTP, and the leader's delivery running on a test's database."""

import ipaddress
import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from scheduler.delivering.core import Delivering
from scheduler.webhooks.channel import WebhookChannel
from scheduler.webhooks.post import Poster
from synthralos.bus.memory import MemoryBus
from synthralos.bus.protocol import Topic
from synthralos.domain.delivering import DeliveryState
from synthralos.domain.ids import new_id
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.webhooks import Endpoint, Secret, new_secret
from synthralos.store.admin.audit import By
from synthralos.store.admin.webhooks import StoredDelivery, StoredEndpoint, Webhooks
from synthralos.store.queue.leading import Lead
from synthralos.store.read.feed import Feed
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages
from tests.fakes.feeds import settle
from tests.fakes.schedules import Leader
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer
from tests.fakes.stores import Store

Found = TypeVar("Found")

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
ANN = By("key:ann", "because")
OK = Answer(204, b"")


class Receiver:
    """One that says yes until a test has it answer otherwise. `came` holds what arrived."""

    def __init__(self, server: ScriptedServer) -> None:
        self.url = f"{server.url}/hook"
        self.came: queue.Queue[Asked] = queue.Queue()
        self.answer: Callable[[Asked], Answer] = lambda asked: OK
        server.script = self._take

    def _take(self, asked: Asked) -> Answer:
        self.came.put(asked)
        return self.answer(asked)

    def next(self) -> Asked:
        """The next request that arrives."""
        return self.came.get(timeout=30)

    def types(self, count: int) -> list[str]:
        """The types of so many events, as they arrive."""
        return [json.loads(self.next().body)["type"] for _ in range(count)]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that listens."""
    server = ScriptedServer()
    with server.running():
        yield Receiver(server)


class Post:
    """The delivery of one database. `running` has it run as the leader's."""

    def __init__(self, store: Store, **options: Any) -> None:
        self.store = store
        self.webhooks = Webhooks(store.database)
        self.feed = Feed(store.database)
        self.bus = MemoryBus()
        self.outages = Outages()
        self.lead: Lead | None = options.pop("lead", None) or Leader(store).lead
        self.poster = Poster(options.pop("allowed", LOOPBACK), options.pop("timeout", 10.0))
        self.channel = WebhookChannel(store.database, self.poster)
        self.delivering = Delivering(
            store.database, self.channel, lambda: self.lead, self.outages, Metrics(), disable=self.channel.disable,
            **options,
        )  # fmt: skip

    def endpoint(self, url: str, organization: str | None = "acme", **fields: Any) -> StoredEndpoint:
        """A new one, which hears of what happens from now on."""
        settle(self.store.database)
        made = Endpoint(new_id(), organization, url, secrets=(Secret(new_secret()),), **fields)
        return self.webhooks.create(made, self.feed.head(), ANN)

    def now(self, endpoint: StoredEndpoint) -> StoredEndpoint:
        """The endpoint as it is."""
        found = self.webhooks.get(endpoint.endpoint.id, EVERYTHING)
        assert found is not None
        return found

    def look(self) -> None:
        """Something has happened."""
        settle(self.store.database)
        self.bus.publish(Topic.FEED, ["something"])

    def deliveries(self, endpoint: StoredEndpoint) -> list[StoredDelivery]:
        """All of an endpoint, newest first."""
        return self.webhooks.deliveries(endpoint.endpoint.id, None, None, 1_000)

    def until(self, endpoint: StoredEndpoint, state: DeliveryState, count: int) -> list[StoredDelivery]:
        """So many of its deliveries, as soon as they are in that state."""

        def found() -> list[StoredDelivery]:
            those = [each for each in self.deliveries(endpoint) if each.state == state]
            return those if len(those) >= count else []

        return self.eventually(found)

    def tried(self, endpoint: StoredEndpoint) -> list[StoredDelivery]:
        """Its deliveries, as soon as each was tried."""

        def found() -> list[StoredDelivery]:
            those = self.deliveries(endpoint)
            return those if those and all(each.tries for each in those) else []

        return self.eventually(found)

    def eventually(self, condition: Callable[[], Found]) -> Found:
        """What the condition gives, as soon as that is true: what the delivery writes wakes nobody."""
        tick = threading.Event()
        for _ in range(600):
            if found := condition():
                return found
            tick.wait(0.05)
        raise AssertionError("it did not come about")

    @contextmanager
    def running(self) -> Iterator["Post"]:
        """The delivery runs."""
        self.delivering.start(self.bus)
        try:
            yield self
        finally:
            self.delivering.stop()
            self.poster.close()
