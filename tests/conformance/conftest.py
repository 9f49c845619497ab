"""Brokers of each kind, for what every broker must do for us."""

import gc
import os
from collections.abc import Iterator

import dramatiq.worker
import pytest

from tests.fakes.broker_sites import MemorySite, RabbitSite, Site, rabbitmq_vhost, redis_site
from tests.fakes.receivers import Post, Receiver, receiver
from tests.fakes.stores import Store


@pytest.fixture
def consumers_restart_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dramatiq.worker, "CONSUMER_RESTART_DELAY_SECS", 0.05)


@pytest.fixture
def lost_connections_are_collected() -> Iterator[None]:
    """Pika drops a connection that is lost while it is being made; no later test shall hear of its open sockets."""
    yield
    gc.collect()


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
    """Each kind of broker."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["amqp", "redis"])
def remote(request: pytest.FixtureRequest) -> Site:
    """Each kind of broker that is a server."""
    found: Site = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def post(store: Store) -> Iterator[Post]:
    with Post(store).running() as post:
        yield post


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found
