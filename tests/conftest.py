"""What tests of every kind may ask for: the servers' addresses, and a place of their own on each of them.

A place is made for one test and removed after it, so that tests run side by side and in any order. Under
`SYNTHRALOS_TEST_EMBEDDED_ONLY=1` the tests that ask for a server are skipped.
"""

import gc
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, settings
from psycopg import sql

from migrations.runner import upgrade
from synthralos.store.sql.database import Database
from synthralos.store.tables import metadata, trace_texts
from tests.fakes.stores import Store
from tests.servers import POSTGRESQL, RABBITMQ, REDIS, Server, embedded_only

# One hypothesis profile for all: nothing is measured in seconds, because several suites share the machine.
settings.register_profile("shared_machine", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared_machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What collecting makes stays to the end: the garbage collector neither looks at it meanwhile nor ever again.

    Else each full collection walks through half a gigabyte of tests and modules, for a second, a few tests apart.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        gc.enable()


def _url_or_skip(server: Server) -> str:
    if embedded_only():
        pytest.skip(f"needs {server.name}; this run is embedded only")
    return server.url


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


@pytest.fixture(scope="session")
def postgres_server_url() -> str:
    """A database of the server, with a role that may create others."""
    return _url_or_skip(POSTGRESQL)


@pytest.fixture(scope="session")
def amqp_server_url() -> str:
    """The default virtual host of RabbitMQ."""
    return _url_or_skip(RABBITMQ)


@pytest.fixture(scope="session")
def redis_server_url() -> str:
    """A Redis database that the tests share: keep to your `redis_prefix`."""
    return _url_or_skip(REDIS)


@pytest.fixture(scope="session")
def _drops() -> Iterator[Executor]:
    """Drops databases beside the tests: each has PostgreSQL write everything to its disk first."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def postgres_database(postgres_server_url: str, _drops: Executor) -> Iterator[str]:
    """URL of an empty database, dropped afterwards whoever is still connected to it."""
    with _made_on(postgres_server_url, _drops) as url:
        yield url


@pytest.fixture
def migrated_postgres_database(postgres_server_url: str, _postgres_template: str, _drops: Executor) -> Iterator[str]:
    """URL of a database with the newest schema and nothing in it, dropped like `postgres_database`."""
    with _made_on(postgres_server_url, _drops, _postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def _postgres_template(postgres_server_url: str, _drops: Executor) -> Iterator[str]:
    """The name of a migrated database to copy: a copy takes a twentieth of a second, a migration one."""
    with _made_on(postgres_server_url, _drops) as url:
        with closing(Database(url)) as database:
            upgrade(database)
        yield urlsplit(url).path.strip("/")


@contextmanager
def _made_on(server_url: str, drops: Executor, template: str = "template0") -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(made)
    try:
        yield _with_path(server_url, name)
    finally:
        drops.submit(_drop, server_url, name)


def _drop(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def sqlite_database(tmp_path: Path) -> str:
    """URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'synthralos.db'}"


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_server_url: str, _postgres_template: str, _drops: Executor) -> Iterator[Database]:
    """One migrated database for all tests that need an empty one: emptying it takes less than making it."""
    with _made_on(postgres_server_url, _drops, _postgres_template) as url, closing(Database(url)) as database:
        yield database


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    path = tmp_path_factory.mktemp("migrated") / "synthralos.db"
    with closing(Database(f"sqlite:///{path}")) as database:
        upgrade(database)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated, empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("_migrated_sqlite"), tmp_path)
        with closing(Database(f"sqlite:///{path}")) as database:
            yield database
        return
    migrated: Database = request.getfixturevalue("_migrated_postgres")
    with closing(Database(migrated.url.render_as_string(hide_password=False))) as database:
        with migrated.transaction() as connection:
            for table in (*metadata.tables.values(), trace_texts):
                connection.execute(table.delete())
        yield database


@pytest.fixture
def amqp_vhost(amqp_server_url: str) -> Iterator[str]:
    """URL of an empty virtual host, deleted afterwards with its queues and connections."""
    name = f"test-{uuid.uuid4().hex}"
    user = urlsplit(amqp_server_url).username or "guest"
    _rabbitmqctl("add_vhost", name)
    _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*")
    yield _with_path(amqp_server_url, name)
    _rabbitmqctl("delete_vhost", name)


@pytest.fixture
def redis_prefix(redis_server_url: str) -> Iterator[str]:
    """A namespace of its own; keys that start with it are deleted afterwards."""
    prefix = f"test-{uuid.uuid4().hex}"
    yield prefix
    with redis.Redis.from_url(redis_server_url) as client:
        if keys := list(client.scan_iter(match=f"{prefix}*", count=1000)):
            client.delete(*keys)


def _rabbitmqctl(*arguments: str) -> None:
    done = subprocess.run(["rabbitmqctl", "-q", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"rabbitmqctl {arguments[0]} (root, on RabbitMQ's machine): {done.stdout}{done.stderr}"


@pytest.fixture
def store(database: Database) -> Store:
    """The whole store on a migrated, empty database of either kind."""
    return Store(database)
