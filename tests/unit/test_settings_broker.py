"""`BROKER_URL=postgresql://`: which database may ring, and what is said where another one is named."""

import pytest

from synthralos.config.settings import Settings, SettingsError, load_settings

PG = "postgresql://me@db.example/jobs"


@pytest.mark.parametrize("broker_url", ["postgresql://", PG])
def test_the_database_itself_may_ring(broker_url: str) -> None:
    settings = load_settings(database_url=PG, broker_url=broker_url)
    assert (settings.brokerless, settings.embedded) == (True, False)


@pytest.mark.parametrize(
    ("database_url", "broker_url"),
    [
        ("sqlite:///jobs.db", "postgresql://"),
        ("sqlite:///jobs.db", PG),
        (PG, "postgresql://me@db.example/other"),
    ],
)
def test_no_other_database_may(database_url: str, broker_url: str) -> None:
    with pytest.raises(SettingsError, match="stands for the database of DATABASE_URL") as raised:
        load_settings(database_url=database_url, broker_url=broker_url)
    assert "me@" not in str(raised.value)


@pytest.mark.parametrize("broker_url", ["memory://", "amqp://a:b@c/d", "redis://localhost/0"])
def test_a_broker_is_no_database(broker_url: str) -> None:
    assert not Settings(database_url=PG, broker_url=broker_url).brokerless
