"""The baseline: a bare Dramatiq actor that does nothing, on RabbitMQ, with Dramatiq's defaults.

Workers are started as any user starts them: `dramatiq benchmarks.noop_actor:boot`, with the broker in BROKER_URL.
"""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

QUEUE = "noop"


def declare(url: str) -> "dramatiq.Actor[[int], None]":
    """The actor, on a broker of its own."""
    broker = RabbitmqBroker(url=url)
    dramatiq.set_broker(broker)

    @dramatiq.actor(queue_name=QUEUE)
    def noop(number: int) -> None:
        """Nothing."""

    return noop


def boot() -> None:
    """What each worker process calls first."""
    declare(os.environ["BROKER_URL"])
