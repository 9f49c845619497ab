"""Redis as the doorbell: lists under the namespace's prefix, polled by the workers.

A Dramatiq worker polls Redis at growing intervals up to its `worker_timeout`: with Dramatiq's default
of 1,000 ms an idle worker notices a ring up to a second late. Give the worker `worker_timeout=100`.
"""

# mypy: allow-untyped-calls
# Dramatiq's consumers have no annotations.

import logging
from collections.abc import Iterable

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed, DecodeError
from redis.backoff import NoBackoff
from redis.retry import Retry

from synthralos.broker import outage
from synthralos.broker.base import DoorbellBroker

CONNECT_TIMEOUT = 3.0
"""Seconds to wait for a connection."""
REPLY_TIMEOUT = 5.0
"""Seconds to wait for the answer to a command."""

log = logging.getLogger(__name__)


class RedisDoorbellBroker(DoorbellBroker, RedisBroker):
    """All keys are `namespace:…`. Options in the URL's query win over our timeouts."""

    def __init__(self, url: str, namespace: str, middleware: list[dramatiq.Middleware]) -> None:
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=REPLY_TIMEOUT,
            # Once more at once, for a connection that died idle; whoever waits for longer outages is the doorbell.
            retry=Retry(NoBackoff(), 1),
        )
        super().__init__(client=client, namespace=namespace, middleware=middleware)

    @property
    def consumer_class(self) -> type["_Consumer"]:
        """The consumer that forgives a failed acknowledgement."""
        return _Consumer

    def declare_queue(self, queue_name: str) -> None:
        """Have workers consume the queue."""
        self._let_consume(queue_name)

    def depth(self, queue_name: str) -> int | None:
        """Messages in the queue's list (fetched ones have left it), None while Redis is away."""
        try:
            waiting: int = self.client.llen(f"{self.namespace}:{queue_name}")
        except redis.RedisError as error:
            log.debug("cannot read the depth of %s: %r", queue_name, error)
            return None
        return waiting

    def reach(self) -> None:
        """See `DoorbellBroker.reach`."""
        self.client.ping()

    def close(self) -> None:
        """Close all connections."""
        self.client.close()


class _Consumer(_RedisConsumer):
    def __next__(self) -> dramatiq.MessageProxy | None:
        try:
            message: dramatiq.MessageProxy | None = super().__next__()
        except (ConnectionClosed, redis.RedisError) as error:
            outage.tell(self.broker.outages, error, self.queue_name)
            raise ConnectionClosed(error) from None  # what Dramatiq says of it is left out of the log
        except DecodeError:
            log.warning("dropped a message of %s that cannot be decoded", self.queue_name)
            return None
        outage.works(self.broker.outages, self.queue_name)
        return message

    def ack(self, message: dramatiq.MessageProxy) -> None:
        # Dramatiq would hold the worker thread until Redis is back, and a shutdown with it. A message that
        # stays unacknowledged may come again; the claim in the database makes that harmless.
        try:
            super().ack(message)
        except (ConnectionClosed, redis.RedisError) as error:
            log.debug("an acknowledgement was lost: %r", error)

    nack = ack

    def requeue(self, messages: Iterable[dramatiq.MessageProxy]) -> None:
        try:
            super().requeue(messages)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None
