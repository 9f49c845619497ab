"""The settings of the link to StackStorm: what is wrong stops the start with a line, and the key shows nowhere."""

from pathlib import Path
from typing import Any

import pytest

from scheduler.stackstorm.link import build_link
from synthralos.config.settings import Settings, SettingsError, load_settings
from synthralos.config_maker import repair_terms

URL, KEY = "https://st2.example.com/api/v1", "canary-NWY4ZTg1"


def settings(**more: Any) -> Settings:
    return load_settings(**{"stackstorm_api_url": URL, "stackstorm_api_key": KEY, **more})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"stackstorm_api_key": None}, "STACKSTORM_API_KEY"),
        ({"stackstorm_api_url": None}, "STACKSTORM_API_URL"),
        ({"stackstorm_api_url": "st2.example.com"}, "STACKSTORM_API_URL"),
        ({"stackstorm_api_url": "ftp://st2.example.com"}, "STACKSTORM_API_URL"),
        ({"stackstorm_api_url": f"https://me:{KEY}@st2.example.com"}, "STACKSTORM_API_URL"),
        ({"stackstorm_api_key": f"{KEY} \n{KEY}"}, "STACKSTORM_API_KEY"),
        ({"stackstorm_residency": "mars"}, "STACKSTORM_RESIDENCY"),
        ({"stackstorm_cacert": "/nowhere.pem"}, "STACKSTORM_CACERT"),
        ({"stackstorm_timeout": 0}, "STACKSTORM_TIMEOUT"),
        ({"stackstorm_executions": 0}, "STACKSTORM_EXECUTIONS"),
        ({"stackstorm_triggers": "job_dead_lettered,polish"}, "STACKSTORM_TRIGGERS"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_without_the_key(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError) as told:
        settings(**wrong)
    assert str(told.value).startswith(f"{named}: ")
    assert "\n" not in str(told.value)
    assert KEY not in str(told.value)


def test_a_file_without_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match="STACKSTORM_CACERT"):
        build_link(settings(stackstorm_cacert=tmp_path / "ca.pem"))


def test_without_settings_there_is_no_link_and_nobody_is_asked() -> None:
    assert build_link(load_settings()) is None
    assert repair_terms(load_settings()) is None


def test_the_key_shows_in_no_form_of_the_settings() -> None:
    found = settings(stackstorm_residency=" EU ")
    assert KEY not in f"{found!r} {found} {found.model_dump()} {found.model_dump_json()}"
    terms = repair_terms(found)
    assert terms is not None
    assert terms.residency == "eu"
