"""A benchmark's own place on each server: made for it, and removed whatever happens."""

import contextlib
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from psycopg import sql

from benchmarks.report import BenchmarkError
from tests.servers import POSTGRESQL, RABBITMQ, REDIS


@dataclass(frozen=True)
class BrokerPlace:
    """A broker's URL, and the namespace to use there."""

    url: str
    namespace: str


@contextlib.contextmanager
def postgresql_database() -> Iterator[str]:
    """The URL of an empty database."""
    name = f"bench_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRESQL.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        yield _with_path(POSTGRESQL.url, name)
    finally:
        with psycopg.connect(POSTGRESQL.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def kept_database(name: str, fill: Callable[[str], None]) -> Iterator[str]:
    """The URL of a database that stays there and is filled once; one whose filling was cut short is made anew."""
    url = _with_path(POSTGRESQL.url, name)
    state = sql.SQL("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}")
    with psycopg.connect(POSTGRESQL.url, autocommit=True) as connection:
        found = connection.execute(state.format(name)).fetchone()
        if found is None or found[0] != "filled":
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            fill(url)
            connection.execute(sql.SQL("COMMENT ON DATABASE {} IS 'filled'").format(sql.Identifier(name)))
    yield url


@contextlib.contextmanager
def rabbitmq_vhost() -> Iterator[BrokerPlace]:
    """An empty virtual host."""
    name = f"bench-{uuid.uuid4().hex}"
    _rabbitmqctl("add_vhost", name)
    try:
        _rabbitmqctl("set_permissions", "-p", name, urlsplit(RABBITMQ.url).username or "guest", ".*", ".*", ".*")
        yield BrokerPlace(_with_path(RABBITMQ.url, name), "bench")
    finally:
        _rabbitmqctl("delete_vhost", name)


@contextlib.contextmanager
def no_broker() -> Iterator[BrokerPlace]:
    """The system's own database."""
    yield BrokerPlace("postgresql://", "bench")


@contextlib.contextmanager
def redis_prefix() -> Iterator[BrokerPlace]:
    """A key prefix."""
    prefix = f"bench-{uuid.uuid4().hex}"
    try:
        yield BrokerPlace(REDIS.url, prefix)
    finally:
        with redis.Redis.from_url(REDIS.url) as client:
            if keys := list(client.scan_iter(match=f"{prefix}*", count=1000)):
                client.delete(*keys)


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def _rabbitmqctl(*arguments: str) -> None:
    done = subprocess.run(["rabbitmqctl", "-q", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"rabbitmqctl {arguments[0]} (root, on RabbitMQ's machine): {done.stdout}{done.stderr}")
