"""How fast a line moves, and when a job in it may have its turn."""

from datetime import UTC, datetime, timedelta

import pytest

from synthralos.domain.standing import (
    AVERAGED_SECONDS,
    MOST_COUNTED,
    MOST_TOLD,
    Paces,
    Standing,
    expected,
    heard,
    line_key,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def paces_of(paces: Paces, now: float) -> dict[str, float]:
    return heard(paces.told(now))


@pytest.mark.parametrize("seconds", [3, 30, 300])
def test_a_steady_line_has_its_pace_however_long_it_is_known(seconds: int) -> None:
    paces = Paces()
    for tick in range(seconds * 10):
        paces.called(["a"] * 4 + ["b"] * (tick % 10 == 0), ["a", "b"], tick / 10)
    found = paces_of(paces, float(seconds))
    assert found[line_key("a")] == pytest.approx(40, rel=0.15)
    assert found[line_key("b")] == pytest.approx(1, rel=0.5)


def test_a_line_that_stands_still_slows_down_and_one_that_is_through_is_forgotten() -> None:
    paces = Paces()
    for tick in range(100):
        paces.called(["a", "b"], ["a", "b"], float(tick))
    paces.keep(["a"])
    found = paces_of(paces, 100 + 3 * AVERAGED_SECONDS)
    assert set(found) == {line_key("a")}
    assert found[line_key("a")] < 0.1


def test_a_line_that_nobody_was_called_from_has_no_pace() -> None:
    paces = Paces()
    paces.called([], ["a"], 0.0)
    assert paces.told(1.0) == []


def test_what_is_told_is_bounded_and_short_whatever_organizations_are_called() -> None:
    paces = Paces()
    names = [f"Müller, {n}" * 20 for n in range(MOST_TOLD + 5)]
    paces.called(names, names, 0.0)
    words = paces.told(1.0)
    assert len(words) == MOST_TOLD
    assert all(len(word) <= 36 and "," not in word for word in words)


def test_words_that_are_no_paces_are_left_out() -> None:
    assert heard(["bulk", "a:x", "b:nan", "c:inf", "d:-1", "e:2.5", ""]) == {"e": 2.5}


def test_a_turn_comes_after_those_before_at_the_pace_of_the_line() -> None:
    assert expected(NOW, 99, 10.0) == NOW + timedelta(seconds=10)
    assert expected(NOW, 99, None) is None
    assert "there: 99" in Standing(99, None).reason
    assert "or more" in Standing(MOST_COUNTED, None).reason
