"""A `Site` for each test of faults."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.fakes.broker_sites import rabbitmq_vhost
from tests.faults.harness import Site, site

SiteMaker = Callable[..., Site]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that nobody waits for them alone in the end."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.fixture(scope="session")
def shared_vhost(amqp_server_url: str) -> Iterator[str]:
    """A virtual host for all tests of this run that leave it alone; each has queues of its own on it."""
    with rabbitmq_vhost() as url:
        yield url


@pytest.fixture
def make_site(migrated_postgres_database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SiteMaker]:
    """Makes the test's site on PostgreSQL and RabbitMQ; its arguments are settings, or other places."""
    with ExitStack() as stack:

        def make(
            broker_url: str | None = None, database_url: str = migrated_postgres_database, **settings: object
        ) -> Site:
            broker = broker_url or request.getfixturevalue("shared_vhost")
            return stack.enter_context(site(database_url, broker, tmp_path, **settings))

        yield make
