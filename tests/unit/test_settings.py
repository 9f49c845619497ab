"""What the environment may say: what counts, what is refused, and that all of it is told at once."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.providers.table import check_deployment
from synthralos.config.settings import Settings, SettingsError, load_settings
from synthralos.core import build_core


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_counts_as_not_set(clean: pytest.MonkeyPatch, name: str) -> None:
    clean.setenv(name.upper(), "")
    assert load_settings() == Settings()


@pytest.mark.parametrize("text", ["guard,route", " guard , route ,", '["guard", "route"]'])
def test_a_list_is_separated_by_commas_or_json(clean: pytest.MonkeyPatch, text: str) -> None:
    clean.setenv("WORKER_STAGES", text)
    assert load_settings().worker_stages == ("guard", "route")


def test_everything_that_is_wrong_is_told_at_once_one_line_each(clean: pytest.MonkeyPatch) -> None:
    wrong = {
        "DATABASE_URL": "mysql://h/db",
        "BROKER_URL": "kafka://h",
        "PORT": "http",
        "HOST": "a b",
        "WORKER_STAGES": "guard,gaurd",
        "CALL_TIMEOUT": "-1",
        "LOG_LEVEL": "LOUD",
    }
    for name, value in wrong.items():
        clean.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert sorted(line.partition(":")[0] for line in str(refused.value).splitlines()) == sorted(wrong)


ENDPOINT = {"similarity_embedder": "openai", "similarity_url": "https://h/v1", "similarity_model": "m"}


def test_an_endpoint_of_embeddings_is_given_as_a_whole_or_not_at_all() -> None:
    chosen = Settings(**ENDPOINT, similarity_key=" sk-1 ", similarity_residency=" EU")  # type: ignore[arg-type]
    assert chosen.similarity_key is not None
    assert (chosen.similarity_key.get_secret_value(), chosen.similarity_residency) == ("sk-1", "eu")
    for missing, named in (("similarity_url", "SIMILARITY_URL"), ("similarity_embedder", "SIMILARITY_EMBEDDER")):
        with pytest.raises(ValueError, match=named):
            Settings(**{name: value for name, value in ENDPOINT.items() if name != missing})  # type: ignore[arg-type]
    here = {"similarity_embedder": "sentence-transformers", "similarity_model": "/models/m"}
    assert Settings(**here).similarity_model == "/models/m"  # type: ignore[arg-type]
    for wrong in ({**here, "similarity_model": None}, {**here, "similarity_url": "https://h/v1"}):
        with pytest.raises(ValueError, match=r"SIMILARITY_(MODEL|EMBEDDER)"):
            Settings(**wrong)  # type: ignore[arg-type]
    for wrong in ({"similarity_key": "a b"}, {"similarity_url": "ftp://h"}, {"similarity_url": "https://u:p@h"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings(**{**ENDPOINT, **wrong})  # type: ignore[arg-type]


GOOD = [
    ("DATABASE_URL", "sqlite:///jobs.db"),
    ("DATABASE_URL", "sqlite:////var/lib/jobs.db"),
    ("DATABASE_URL", "postgresql:///jobs"),
    ("DATABASE_URL", "postgresql+psycopg://u:p%23%40x@db.example:5433/jobs?application_name=mine"),
    ("DATABASE_URL", "postgresql://u:p@h1:1,h2:2,[::1]:3/jobs?target_session_attrs=read-write"),
    ("DATABASE_URL", "postgresql:///jobs?host=h1:1&host=h2:2"),
    ("DATABASE_URL", "postgresql://u:p@/jobs?host=/var/run/postgresql"),
    ("BROKER_URL", "amqp://u:p@h1:5672/%2F;amqps://u:p@h2"),
    ("BROKER_URL", "rediss://:p@h:6379/2"),
    ("REDIS_URL", "redis://localhost"),
    ("HOST", "::1"),
    ("HOST", "0.0.0.0"),
    ("HOST", "my-host.internal"),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_settings_of_every_allowed_form_are_taken(clean: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean.setenv(name, f" {value} ")
    assert getattr(load_settings(), name.lower()) == value


BAD = [
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite://jobs.db"),
    ("DATABASE_URL", "postgresql://u:sec#ret@h/db"),
    ("DATABASE_URL", "postgresql://u:sec/ret@h/db"),
    ("DATABASE_URL", "postgresql://u:sec%ret@h/db"),
    ("DATABASE_URL", "postgresql://u:sec ret@h/db"),
    ("DATABASE_URL", "postgresql://u:secret@[h/db"),
    ("DATABASE_URL", "postgresql://u:secret@h:99999/db"),
    ("DATABASE_URL", "postgresql://u:secret@h1:5432,h2:x/db"),
    ("BROKER_URL", "amqp://u:secret@s/w%#;?:@h"),
    ("BROKER_URL", "amqp://u:secret@h;"),
    ("REDIS_URL", "http://:secret@h"),
    ("HOST", "http://secret"),
    ("METRICS_HOST", "http://secret"),
    ("METRICS_PORT", "65535"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_url_that_cannot_work_is_one_line_without_its_password(
    clean: pytest.MonkeyPatch, name: str, value: str
) -> None:
    clean.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"{name}: ")
    assert len(str(refused.value).splitlines()) == 1
    assert "sec" not in str(refused.value)


def test_what_only_the_broker_knows_to_be_wrong_names_the_setting_too(clean: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^BROKER_URL: "):
        build_core(load_settings(broker_url="amqp://u:secret@h?heartbeat=often"), check_deployment)


@given(st.sampled_from(["database_url", "broker_url", "redis_url", "host", "metrics_host", "worker_stages"]), st.text())
def test_no_text_is_worse_than_a_wrong_setting(name: str, text: str) -> None:
    with suppress(SettingsError):
        load_settings(**{name: text})
