"""Feature flags: who has them, and that a growing share takes nobody out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthralos.config.settings import Settings
from synthralos.domain.flags import FLAGS, Flag, Flags, FlagState, place

SHARED = Flag.TRACK_MODEL_COSTS
ORGANIZATIONS = [f"org-{n}" for n in range(2_000)]


def share(flag: Flag, percentage: int) -> set[str]:
    flags = Flags({flag: FlagState(True, percentage)})
    return {name for name in ORGANIZATIONS if flags.on(flag, name)}


def test_every_flag_has_its_facts_and_its_setting() -> None:
    assert set(FLAGS) == set(Flag)
    assert set(Flag) <= set(Settings.model_fields)


def test_a_flag_that_nobody_touched_is_at_its_default() -> None:
    assert {flag: Flags().on(flag, "acme") for flag in Flag} == {flag: FLAGS[flag].default for flag in Flag}


@pytest.mark.parametrize("percentage", [1, 25, 50, 90])
def test_a_share_has_about_so_many(percentage: int) -> None:
    assert abs(len(share(SHARED, percentage)) / len(ORGANIZATIONS) - percentage / 100) < 0.04


def test_each_flag_has_an_order_of_its_own() -> None:
    one, other = share(Flag.TRACK_MODEL_COSTS, 50), share(Flag.ENABLE_RATE_LIMITING, 50)
    assert 0.15 < len(one & other) / len(ORGANIZATIONS) < 0.35


@given(st.text(), st.integers(0, 100), st.integers(0, 100))
def test_a_larger_share_keeps_everybody(organization: str, one: int, other: int) -> None:
    less, more = sorted((one, other))
    if Flags({SHARED: FlagState(True, less)}).on(SHARED, organization):
        assert Flags({SHARED: FlagState(True, more)}).on(SHARED, organization)


def test_the_order_is_the_same_in_every_process_and_release() -> None:
    assert [round(place(SHARED, name), 3) for name in ("acme", "globex", "")] == [13.749, 71.785, 73.501]


def test_off_is_off_whatever_the_share() -> None:
    flags = Flags({SHARED: FlagState(False, 100)})
    assert not flags.on(SHARED, "acme")
    assert not share(SHARED, 0)


def test_the_environment_wins() -> None:
    flags = Flags({SHARED: FlagState(True, 50)}, {SHARED: False})
    assert not any(flags.on(SHARED, name) for name in ORGANIZATIONS)
    assert flags.state(SHARED) == FlagState(False)
    assert flags.view(SHARED, None, stored=True)["source"] == "environment"
    assert flags.view(Flag.ENABLE_STACKSTORM, None, stored=False)["source"] == "default"


def test_settings_override_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_STACKSTORM", "on")
    monkeypatch.setenv("TRACK_MODEL_COSTS", "off")
    monkeypatch.setenv("ENABLE_CRON_BACKOFF", "")
    assert Settings().flag_overrides == {Flag.ENABLE_STACKSTORM: True, Flag.TRACK_MODEL_COSTS: False}
