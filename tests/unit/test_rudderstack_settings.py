"""Settings of the export to RudderStack: a wrong one stops the start and says which, and none shows the key."""

import pytest

from pipelines.analyze.table import build_exporters
from synthralos.config.settings import Settings, SettingsError, load_settings
from synthralos.logs import known_secrets
from tests.fakes.data_plane import WRITE_KEY

URL = "https://example.dataplane.rudderstack.com"
WHOLE = {"rudderstack_write_key": WRITE_KEY, "rudderstack_data_plane_url": URL}


def refused(**settings: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**settings)
    assert WRITE_KEY not in str(caught.value)
    return str(caught.value)


def test_without_a_key_nothing_is_exported() -> None:
    assert build_exporters(Settings()) == {}


@pytest.mark.parametrize("missing", WHOLE)
def test_half_of_it_stops_the_start_with_the_name_of_the_other_half(missing: str) -> None:
    assert missing.upper() in refused(**{name: value for name, value in WHOLE.items() if name != missing})


@pytest.mark.parametrize(
    "url", ["ftp://example.com", "example.com", "https://user:pw@example.com", "https://example.com?x=1", "https://"]
)
def test_an_address_that_cannot_be_one_stops_the_start(url: str) -> None:
    assert "RUDDERSTACK_DATA_PLANE_URL" in refused(**{**WHOLE, "rudderstack_data_plane_url": url})


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/v1/batch", f"{URL}/v1/batch/"])
def test_the_address_may_end_as_people_write_it(url: str) -> None:
    assert load_settings(**{**WHOLE, "rudderstack_data_plane_url": url}).rudderstack_data_plane_url == URL


@pytest.mark.parametrize("key", ["two words", "with:colon", "new\nline", "ключ"])
def test_a_key_that_cannot_be_sent_stops_the_start(key: str) -> None:
    told = refused(**{**WHOLE, "rudderstack_write_key": key})
    assert "RUDDERSTACK_WRITE_KEY" in told
    assert key not in told


@pytest.mark.parametrize(("written", "declared"), [(None, None), (" EU ", "eu"), ("us", "us")])
def test_the_residency_is_what_is_declared_and_nothing_else(written: str | None, declared: str | None) -> None:
    [exporter] = build_exporters(load_settings(**WHOLE, rudderstack_residency=written)).values()
    assert (exporter.destination.name, exporter.destination.residency) == ("rudderstack", declared)
    exporter.close()


def test_the_key_is_known_as_a_secret_and_shown_nowhere() -> None:
    settings = load_settings(**WHOLE)
    assert WRITE_KEY in known_secrets(settings)
    assert WRITE_KEY not in repr(settings)
    [exporter] = build_exporters(settings).values()
    assert WRITE_KEY not in repr(vars(exporter))
    exporter.close()
