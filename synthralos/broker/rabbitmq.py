"""RabbitMQ as the doorbell: quorum queues, publisher confirms, nothing else (no delay, no dead-letter queue)."""

# mypy: allow-untyped-calls
# Dramatiq's consumers have no annotations.

import copy
import logging
import threading
import time
from typing import Any

import dramatiq
import pika  # type: ignore[import-untyped]
from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.errors import BrokerConnectionError, ConnectionClosed
from pika.adapters.utils.connection_workflow import AMQPConnectorException  # type: ignore[import-untyped]
from pika.exceptions import AMQPError, ChannelClosedByBroker  # type: ignore[import-untyped]

from synthralos.broker import outage
from synthralos.broker.base import DoorbellBroker

_NOT_FOUND = 404

_TAKE_DOWN = 0.25
"""Seconds to leave a vanished queue alone. A quorum queue that is declared anew before RabbitMQ has taken the deleted
one down (up to 50 ms, measured on 3.10) leaves the old consumers attached and deaf for as long as they live."""

_GAUGE_HEARTBEAT = 4
"""Seconds: whoever asks for a depth waits on a server that fell silent for about three times as long."""

_LOST = (AMQPError, AMQPConnectorException, OSError, AssertionError)
"""What pika raises where a connection cannot be had or broke; the last of them where it broke half way through."""

log = logging.getLogger(__name__)


class RabbitDoorbellBroker(DoorbellBroker, RabbitmqBroker):
    """Connects to the first of `urls` that answers, one connection per publishing thread.

    A queue that vanishes (deleted, or the whole vhost made anew) is declared again by the next publish,
    which the server returns as unroutable, and by the consumer that lost it.
    """

    def __init__(self, urls: list[str], middleware: list[dramatiq.Middleware]) -> None:
        super().__init__(url=urls, confirm_delivery=True, middleware=middleware)
        self._made: set[str] = set()
        self._gauge = _Gauge(self.parameters)
        _leave_logging_to_us()

    @property
    def consumer_class(self) -> type["_Consumer"]:
        """The consumer that forgives a failed acknowledgement."""
        return _Consumer

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Have workers consume the queue or, with `ensure` (as publishing does), only see to it that it exists."""
        if not ensure:
            self._let_consume(queue_name)
            return
        if queue_name not in self._made:
            self.queues_pending.add(queue_name)
        elif queue_name in self.queues_pending:
            time.sleep(_TAKE_DOWN)
        self._ensure_queue(queue_name)
        self._made.add(queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        """A consumer of the queue, which is declared first. `timeout`: idle wake-up in milliseconds."""
        # A consumer begins, and begins again, when the connection or the queue was lost: never trust the memory.
        self.queues_pending.add(queue_name)
        try:
            consumer = super().consume(queue_name, prefetch, timeout)
        except (*_LOST, BrokerConnectionError) as error:
            outage.tell(self.outages, error, queue_name)
            raise ConnectionClosed(error) from None  # what Dramatiq says of it is left out of the log
        else:
            outage.works(self.outages, queue_name)
            return consumer
        finally:
            # The consumer has a connection of its own; nobody would send heartbeats on this one.
            self.hang_up()

    def depth(self, queue_name: str) -> int | None:
        """Messages ready in the queue, 0 where it does not exist, None while RabbitMQ is away."""
        return self._gauge.read(queue_name)

    def reach(self) -> None:
        """See `DoorbellBroker.reach`."""
        pika.BlockingConnection(self.parameters).close()

    def hang_up(self) -> None:
        """Close the calling thread's connection."""
        del self.connection

    def close(self) -> None:
        """Close all connections."""
        self._gauge.close()
        super().close()

    def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
        return {"x-queue-type": "quorum"}

    def _declare_dq_queue(self, queue_name: str) -> None:
        """No delay queue."""

    def _declare_xq_queue(self, queue_name: str) -> None:
        """No dead-letter queue: RabbitMQ drops what is rejected."""


class _Consumer(_RabbitmqConsumer):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        try:
            super().__init__(*arguments, **named)
        except Exception:
            self._disconnect()
            raise

    def close(self) -> None:
        # Dramatiq leaves the connection open where the channel is closed already, as it is when its queue vanished.
        try:
            super().close()
        finally:
            self._disconnect()

    def _disconnect(self) -> None:
        if (connection := getattr(self, "connection", None)) is not None:
            _shut(connection)

    def ack(self, message: dramatiq.MessageProxy) -> None:
        # Dramatiq would hold the worker thread for 5 s and try again, in vain: what was delivered on
        # a lost connection is delivered anew, and the claim in the database makes that harmless.
        try:
            super().ack(message)
        except BrokerConnectionError as error:
            log.debug("an acknowledgement was lost: %r", error)

    nack = ack


class _Gauge:
    """Reads the number of waiting messages, on one connection for all threads that ask."""

    def __init__(self, parameters: Any) -> None:
        self._parameters = [copy.copy(each) for each in parameters]
        for each in self._parameters:
            each.heartbeat = _GAUGE_HEARTBEAT
        self._lock = threading.Lock()
        self._connection: Any = None
        self._channel: Any = None

    def read(self, queue_name: str) -> int | None:
        with self._lock:
            # The server closes an idle connection, and only using it shows that; a new one gets no second chance.
            for _ in range(1 if self._connection is None else 2):
                try:
                    return self._passive_declare(queue_name)
                except _LOST as error:
                    log.debug("cannot read the depth of %s: %r", queue_name, error)
                    self._drop()
            return None

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _passive_declare(self, queue_name: str) -> int:
        if self._connection is None:
            self._connection = pika.BlockingConnection(self._parameters)
        if self._channel is None:
            self._channel = self._connection.channel()
        try:
            count: int = self._channel.queue_declare(queue_name, passive=True).method.message_count
        except ChannelClosedByBroker as error:
            self._channel = None
            if error.reply_code != _NOT_FOUND:
                raise
            return 0
        return count

    def _drop(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            _shut(connection)


def _shut(connection: Any) -> None:
    """Close the connection if it is open. One that breaks meanwhile is pika's to drop."""
    try:
        if connection.is_open:
            connection.close()
    except _LOST as error:
        log.debug("closing a lost connection: %r", error)


def _leave_logging_to_us() -> None:
    """Quiet pika, as Dramatiq's own command does: it logs a traceback per failed connect, which we get as an error."""
    pika_log = logging.getLogger("pika")
    if pika_log.level == logging.NOTSET:
        pika_log.setLevel(logging.CRITICAL)
