"""The quality table of `QUALITY_TABLE`: what it changes, and what is refused."""

from pathlib import Path

import pytest

from synthralos.config.quality import built_in_quality, read_quality
from synthralos.config.settings import SettingsError
from synthralos.domain.deployments import Tier
from synthralos.domain.quality import DEFAULT, KINDS


def written(folder: Path, text: str) -> Path:
    path = folder / "quality.toml"
    path.write_text(text)
    return path


def test_the_built_in_table_measures_nothing_and_orders_the_tiers() -> None:
    table = built_in_quality()
    assert not table.measured
    assert [table.prior.levels[tier] for tier in Tier] == sorted(table.prior.levels.values())
    assert read_quality(None) == table


def test_a_kind_that_was_not_measured_has_the_default(tmp_path: Path) -> None:
    table = read_quality(written(tmp_path, '[models."a/b"]\ndefault = 0.8\ncode = 0.6\n'))
    assert table.measured["a/b"] == {DEFAULT: 0.8, **{kind: 0.6 if kind == "code" else 0.8 for kind in KINDS}}
    assert (table.prior, table.give_up) == (built_in_quality().prior, built_in_quality().give_up)


def test_what_may_be_given_up_and_the_prior_can_be_set(tmp_path: Path) -> None:
    prior = "[prior]\nweak_quality = 0.5\nstrong_quality = 0.9\nlevels = { economy = 0, standard = 0.2, premium = 1 }\n"
    table = read_quality(written(tmp_path, "give_up = 0.02\n" + prior))
    assert (table.give_up, table.prior.weak_quality, table.prior.levels[Tier.STANDARD]) == (0.02, 0.5, 0.2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[models."a/b"]\ncode = 0.6\n', "default"),
        ('[models."a/b"]\ndefault = 0.8\npoetry = 0.6\n', "poetry"),
        ('[models."a/b"]\ndefault = 80\n', "models.a/b.default"),
        ("give_up = -1\n", "give_up"),
        ("give = 1\n", "give"),
        ("[prior]\nweak_quality = 0.5\nstrong_quality = 0.9\nlevels = { economy = 0 }\n", "standard"),
        ("[[", "TOML"),
    ],
)
def test_a_wrong_table_is_refused_by_its_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match="QUALITY_TABLE") as caught:
        read_quality(written(tmp_path, text))
    assert told in str(caught.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="QUALITY_TABLE"):
        read_quality(tmp_path / "none.toml")
