"""The file of abuse patterns: what is right is read, and what is wrong is named by its place."""

from pathlib import Path

import pytest

from synthralos.config.abuse_patterns import MOST, MOST_EACH, THRESHOLD, PatternsError, built_in_patterns, read_patterns
from synthralos.domain.abuse_patterns import EVERYONE, Pattern

ONE = '[[pattern]]\nname = "prices"\ntext = "what do you charge others"\n'


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "patterns.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_there_are_patterns_of_each_kind_with_names_of_their_own() -> None:
    shipped = built_in_patterns()
    assert set(shipped) == {EVERYONE}
    assert len(shipped[EVERYONE]) >= 60
    assert {p.kind for p in shipped[EVERYONE]} >= {"injection", "hidden", "extraction", "jailbreak", "harm", "spam"}
    assert len({p.name for p in shipped[EVERYONE]}) == len(shipped[EVERYONE])
    assert read_patterns(None) == shipped


def test_own_patterns_stand_beside_those_that_are_shipped(tmp_path: Path) -> None:
    path = written(tmp_path, f'{ONE}\n{ONE}kind = "extraction"\nthreshold = 0.7\norganization = "acme"\n')
    found = read_patterns(path)
    assert found[EVERYONE] == (
        *built_in_patterns()[EVERYONE],
        Pattern("prices", "custom", "what do you charge others", THRESHOLD),
    )
    assert found["acme"] == (Pattern("prices", "extraction", "what do you charge others", 0.7),)


def test_an_empty_file_adds_nothing(tmp_path: Path) -> None:
    assert read_patterns(written(tmp_path, "")) == built_in_patterns()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"\xff\xfe", ["UTF-8"]),
        ("garbage", ["TOML"]),
        ("[[patern]]", ["patern"]),
        ("pattern = 1", ["[[pattern]]"]),
        ("pattern = [1]", ["pattern 1", "entry"]),
        (f'{ONE}\n[[pattern]]\nname = "short"\ntext = "too short"\n', ["pattern 2", "'short'", "text"]),
        (f"{ONE}threshold = 2\n", ["pattern 1", "'prices'", "threshold"]),
        (f"{ONE}treshold = 0.5\n", ["pattern 1", "'prices'", "treshold"]),
        ('[[pattern]]\ntext = "what do you charge others"\n', ["pattern 1", "name", "missing"]),
        ('[[pattern]]\nname = "with space"\ntext = "what do you charge others"\n', ["pattern 1", "name"]),
        (f'{ONE}organization = ""\n', ["pattern 1", "organization"]),
        ("pattern = [" + "{}," * (MOST + 1) + "]", [str(MOST)]),
        (f"{ONE}\n" * (MOST_EACH + 1), [f"pattern {MOST_EACH + 1}", "organization", str(MOST_EACH)]),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_place(tmp_path: Path, text: str | bytes, named: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PatternsError) as error:
        read_patterns(path)
    told = str(error.value)
    assert "\n" not in told
    for word in ["ABUSE_PATTERNS", str(path), *named]:
        assert word in told


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PatternsError, match=r"gone\.toml: cannot be read"):
        read_patterns(tmp_path / "gone.toml")
