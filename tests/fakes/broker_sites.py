"""Real brokers for tests, one namespace each, and what only a test does to them: cut off, wipe, look inside."""

import contextlib
import json
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from urllib.parse import urlsplit

import pika
import redis

from synthralos.broker.base import DoorbellBroker
from synthralos.broker.brokers import build_broker
from synthralos.broker.queues import all_queues
from tests.fakes.tcp_proxy import TcpProxy

_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672"
_REDIS = "redis://127.0.0.1:6379/0"


class Site(ABC):
    """A broker's address and a namespace of its own on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.namespace = f"test-{uuid.uuid4().hex[:12]}"

    def broker(self, proxy: TcpProxy | None = None) -> DoorbellBroker:
        """A new broker, connected through `proxy` where one is given."""
        address = urlsplit(self.url).netloc.rpartition("@")[2]
        url = self.url if proxy is None else self.url.replace(address, f"127.0.0.1:{proxy.port}")
        return build_broker(url, self.namespace, [])

    def proxy(self) -> TcpProxy:
        """A proxy in front of the server."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return TcpProxy(parts.hostname, parts.port)

    @abstractmethod
    def names(self, broker: DoorbellBroker) -> set[str]:
        """The names of everything that the broker keeps for the namespace."""

    @abstractmethod
    def wipe(self, broker: DoorbellBroker) -> None:
        """Take away everything of the namespace, behind the back of whoever uses it."""


class RabbitSite(Site):
    def names(self, broker: DoorbellBroker) -> set[str]:
        vhost = urlsplit(self.url).path.strip("/")
        listed = json.loads(rabbitmqctl("list_queues", "-p", vhost, "name", "type", "--formatter", "json"))
        assert {queue["type"] for queue in listed} <= {"rabbit_quorum_queue", "quorum"}
        return {queue["name"] for queue in listed if queue["name"].startswith(self.namespace)}

    def wipe(self, broker: DoorbellBroker) -> None:
        with contextlib.closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
            channel = connection.channel()
            for queue in all_queues(self.namespace):
                channel.queue_delete(queue)


class RedisSite(Site):
    def names(self, broker: DoorbellBroker) -> set[str]:
        with redis.Redis.from_url(self.url) as client:
            return {key.decode() for key in client.scan_iter(f"{self.namespace}:*")}

    def wipe(self, broker: DoorbellBroker) -> None:
        with redis.Redis.from_url(self.url) as client:
            if keys := list(client.scan_iter(f"{self.namespace}:*")):
                client.delete(*keys)


class MemorySite(Site):
    def names(self, broker: DoorbellBroker) -> set[str]:
        return set(broker.queues)

    def wipe(self, broker: DoorbellBroker) -> None:
        broker.flush_all()


@contextlib.contextmanager
def rabbitmq_vhost() -> Iterator[str]:
    """The URL of a new vhost; it is deleted in the end."""
    vhost = f"test-{uuid.uuid4().hex[:12]}"
    make_vhost(vhost)
    try:
        yield f"{_RABBITMQ}/{vhost}"
    finally:
        rabbitmqctl("delete_vhost", vhost)


def make_vhost(vhost: str) -> None:
    """Make a vhost that `guest` may use."""
    rabbitmqctl("add_vhost", vhost)
    rabbitmqctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")


@contextlib.contextmanager
def redis_site() -> Iterator[RedisSite]:
    """A key prefix of its own, emptied in the end."""
    site = RedisSite(_REDIS)
    try:
        yield site
    finally:
        with redis.Redis.from_url(_REDIS) as client:
            for key in client.scan_iter(f"{site.namespace}:*"):
                client.delete(key)


def rabbitmqctl(*arguments: str) -> str:
    """The standard output of a `rabbitmqctl` command."""
    return subprocess.run(["rabbitmqctl", "-q", *arguments], check=True, capture_output=True, text=True).stdout
