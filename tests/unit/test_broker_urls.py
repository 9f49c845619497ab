import pytest

from synthralos.broker.brokers import build_broker
from synthralos.broker.memory import MemoryDoorbellBroker
from synthralos.broker.rabbitmq import RabbitDoorbellBroker
from synthralos.broker.redis import RedisDoorbellBroker


@pytest.mark.parametrize(
    "url",
    [
        "",
        "synthralos",
        "kafka://host",
        "http://host",
        "memory:",
        "memory://somewhere",
        "amqp://",
        "amqp://guest:secret@host:port",
        "amqp://guest:secret@host:99999",
        "amqp://guest@host",
        "amqp://guest:se/cret@host",
        "amqp://guest:secret@one;two",
        "amqp://guest:secret@one;",
        "amqp://guest:secret@one;redis://two",
        "amqp://guest:secret@host?nonsense=1",
        "amqp://guest:secret@host?heartbeat=often",
        "redis://",
        "redis://:secret@host:port",
        "redis://:secret@host/queue",
        "redis://:secret@host?socket_timeout=long",
        "redis://[::1",
    ],
)
def test_a_bad_url_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the wording is free
        build_broker(url, "test", [])
    assert "secret" not in str(refused.value)


def test_several_rabbitmq_hosts_are_tried_in_order() -> None:
    broker = build_broker("amqp://a:b@one:1/v;amqps://a:b@two/v", "test", [])
    assert isinstance(broker, RabbitDoorbellBroker)
    assert [(p.host, p.port, p.virtual_host) for p in broker.parameters] == [("one", 1, "v"), ("two", 5671, "v")]
    assert broker.parameters[1].ssl_options is not None


def test_the_url_overrides_our_rabbitmq_timeouts() -> None:
    broker = build_broker("amqp://one/%2F?heartbeat=7;amqp://two", "test", [])
    assert isinstance(broker, RabbitDoorbellBroker)
    assert [p.heartbeat for p in broker.parameters] == [7, 10]
    assert [p.virtual_host for p in broker.parameters] == ["/", "/"]
    assert all(p.stack_timeout == 5 and p.socket_timeout == 3 for p in broker.parameters)


def test_a_redis_url_keeps_its_database_and_gets_timeouts() -> None:
    broker = build_broker("rediss://user:p%40ss@host:7000/3?socket_timeout=9", "test", [])
    assert isinstance(broker, RedisDoorbellBroker)
    options = broker.client.connection_pool.connection_kwargs
    assert (options["host"], options["port"], options["db"], options["password"]) == ("host", 7000, 3, "p@ss")
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (9, 3)


def test_only_the_middleware_passed_in_is_there() -> None:
    broker = build_broker("memory://", "test", [])
    assert isinstance(broker, MemoryDoorbellBroker)
    assert broker.middleware == []
