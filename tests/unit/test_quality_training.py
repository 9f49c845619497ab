"""How the quality model is trained and judged: bands of tasks, rows left out, careful thresholds."""

import numpy as np
import pytest

from scripts.quality_model.bands import BANDS, bands_of
from scripts.quality_model.data import Two
from scripts.quality_model.judging import cautious, curve, outcome
from scripts.quality_model.ridge import GAIN, inverse, predict, see, space_of, system

WORDS = ("river", "lamp", "market", "window", "bread", "winter", "carry", "blue")


def texts(count: int) -> list[str]:
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, 6)) + "?" * int(rng.integers(3)) for _ in range(count)]


def test_tasks_with_like_gains_are_one_band() -> None:
    rows = 200
    tasks = np.repeat([f"task{number:02d}" for number in range(2 * BANDS)], rows)
    gain = np.repeat([(number // 2) / BANDS for number in range(2 * BANDS)], rows)
    bands = bands_of(tasks, gain)
    assert len(bands.gains) == BANDS
    assert bands.band[0::2].tolist() == bands.band[1::2].tolist()
    assert len(set(bands.band.tolist())) == BANDS


def test_the_gain_of_a_band_lies_between_that_of_its_rows_and_that_of_all() -> None:
    tasks, gain = np.array(["a"] * 90 + ["b"] * 10), np.array([0.0] * 90 + [1.0] * 10)
    bands = bands_of(tasks, gain)
    low, high = bands.gains[bands.band]
    assert 0 < low < gain.mean() < high < 1


def test_a_task_that_was_not_there_is_of_no_band() -> None:
    bands = bands_of(np.array(["b", "d"]), np.array([0.1, 0.5]))
    columns = bands.columns(np.array(["a", "b", "c", "d", "e"]))
    assert columns.sum(axis=1).tolist() == [0, 1, 0, 1, 0]
    assert columns[1].tolist() != columns[3].tolist()


def test_rows_left_out_get_what_a_system_of_the_others_says() -> None:
    prompts, rng = texts(60), np.random.default_rng(4)
    weight, wanted = np.ones(60), rng.normal(size=(60, 2))
    seen = see(prompts, space_of(prompts))
    known, asked = np.arange(0, 60, 2), np.array([3, 11, 59])
    found = predict(inverse(seen, GAIN, weight), known, asked, wanted, weight)
    likeness, solved = seen.likeness(GAIN), system(seen, GAIN, weight)[np.ix_(known, known)]
    mean = wanted[known].mean(axis=0)
    expected = mean + likeness[np.ix_(asked, known)] @ np.linalg.solve(solved, wanted[known] - mean)
    assert np.allclose(found, expected, atol=1e-4)


def test_what_a_row_left_out_should_have_got_has_no_part_in_what_it_gets() -> None:
    prompts, weight = texts(40), np.ones(40)
    wanted = np.random.default_rng(5).normal(size=(40, 1))
    inverted = inverse(see(prompts, space_of(prompts)), GAIN, weight)
    known, asked = np.arange(30), np.arange(30, 40)
    other = np.vstack([wanted[:30], wanted[30:] + 100])
    one, two = (predict(inverted, known, asked, each, weight) for each in (wanted, other))
    assert np.array_equal(one, two)


@pytest.fixture
def rows() -> Two:
    rng = np.random.default_rng(6)
    tasks = np.repeat([f"task{number}" for number in range(12)], 50)
    strong = (rng.random(600) < 0.9).astype(np.float64)
    weak = (rng.random(600) < np.repeat(rng.uniform(0.3, 0.8, 12), 50)).astype(np.float64)
    return Two(["x"] * 600, tasks, strong, weak, np.full(600, 100.0), np.full(600, 1.0), np.ones(600))


def test_a_careful_threshold_sends_more_to_the_strong_model(rows: Two) -> None:
    score = np.random.default_rng(7).random(600)
    plain, careful = (drawn(score, rows).at(0.9)[1] for drawn in (curve, cautious))
    assert outcome(score >= careful, rows)[1] > outcome(score >= plain, rows)[1] >= 0.9


def test_where_all_tasks_are_alike_there_is_nothing_to_be_careful_about(rows: Two) -> None:
    one = rows.strong[:50], rows.weak[:50]
    alike = rows._replace(strong=np.tile(one[0], 12), weak=np.tile(one[1], 12))
    score = np.repeat(np.random.default_rng(8).random(50), 12).reshape(50, 12).T.ravel()
    whole = np.arange(0, 601, 12)
    assert np.allclose(cautious(score, alike).quality[whole], curve(score, alike).quality[whole])
