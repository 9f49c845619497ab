"""A broker from a URL: RabbitMQ, Redis, or this process's memory (also where the database rings by itself)."""

import socket
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import dramatiq

from synthralos.broker.base import DoorbellBroker
from synthralos.broker.memory import MemoryDoorbellBroker

_AMQP_DEFAULTS = {
    "heartbeat": "10",  # seconds; a server that fell silent is noticed after about three of them
    "socket_timeout": "3",  # seconds for TCP to connect
    "stack_timeout": "5",  # seconds for TCP, TLS and AMQP together
    "blocked_connection_timeout": "10",  # seconds that RabbitMQ may refuse to read when it is out of memory or disk
}
"""pika's connection parameters, where the URL's query does not say otherwise."""

_SEND_TIMEOUT = 10_000
"""Milliseconds after which sent bytes that nobody acknowledges end the connection (a host that vanished)."""


def build_broker(url: str, namespace: str, middleware: list[dramatiq.Middleware]) -> DoorbellBroker:
    """The broker that `url` names, with exactly the given middleware. Connects to nothing yet.

    `amqp[s]://USER:PASSWORD@HOST:PORT/VHOST`, several of them separated by `;` (tried in that order);
    `redis[s]://[USER:PASSWORD@]HOST:PORT/DB`, where `namespace` prefixes all keys; `memory://`, for one
    process. Raises `ValueError`, which does not repeat the URL because that may hold a password.
    """
    scheme = url.partition("://")[0]
    match scheme:
        case "amqp" | "amqps":
            return _rabbitmq(url, middleware)
        case "redis" | "rediss":
            return _redis(url, namespace, middleware)
        case "memory" if url == "memory://":
            return MemoryDoorbellBroker(middleware)
        case "postgresql" | "postgres":
            return MemoryDoorbellBroker(middleware)  # what is rung comes in by `workers/inbox.py`
        case "memory":
            raise ValueError("broker URL: memory:// takes nothing after it")
    raise ValueError("broker URL: must start with amqp://, amqps://, redis://, rediss://, postgresql:// or memory://")


def _rabbitmq(url: str, middleware: list[dramatiq.Middleware]) -> DoorbellBroker:
    from synthralos.broker.rabbitmq import RabbitDoorbellBroker  # noqa: PLC0415 - a client that others do without

    urls = [_with_amqp_defaults(_parse(part, ("amqp", "amqps"))) for part in url.split(";")]
    try:
        return RabbitDoorbellBroker(urls, middleware)
    except (ValueError, TypeError, SyntaxError) as error:  # what pika raises for parameters that it cannot read
        raise ValueError(f"broker URL: RabbitMQ cannot be reached with these parameters: {error}") from None


def _redis(url: str, namespace: str, middleware: list[dramatiq.Middleware]) -> DoorbellBroker:
    database = _parse(url, ("redis", "rediss")).path.strip("/")
    if database and not database.isdecimal():  # redis-py would silently take database 0
        raise ValueError("broker URL: after the host of a redis:// URL comes the number of a database")
    from synthralos.broker.redis import RedisDoorbellBroker  # noqa: PLC0415 - a client that others do without

    try:
        return RedisDoorbellBroker(url, namespace, middleware)
    except (ValueError, TypeError) as error:
        raise ValueError(f"broker URL: Redis cannot be reached with these parameters: {error}") from None


def _parse(url: str, schemes: tuple[str, str]) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("broker URL: the host or the port is not valid") from None
    if parts.scheme not in schemes:
        raise ValueError(f"broker URL: every part between ';' must start with {schemes[0]}:// or {schemes[1]}://")
    if not parts.hostname:
        raise ValueError("broker URL: a host is missing after ://")
    if parts.username and parts.password is None and parts.scheme.startswith("amqp"):
        raise ValueError("broker URL: a password is missing (amqp://USER:PASSWORD@HOST)")
    return parts


def _with_amqp_defaults(parts: SplitResult) -> str:
    defaults = dict(_AMQP_DEFAULTS)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        defaults["tcp_options"] = f"{{'TCP_USER_TIMEOUT': {_SEND_TIMEOUT}}}"
    return parts._replace(query=urlencode(defaults | dict(parse_qsl(parts.query)))).geturl()
