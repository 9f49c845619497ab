"""The quality model: kinds of tasks, gains, and the scores on the command line."""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.route.__main__ import main
from pipelines.route.quality import model as quality_model
from pipelines.route.quality.choosing import best_exchange, cheapest_within
from pipelines.route.quality.features import MOST_CHARACTERS, shortened
from pipelines.route.quality.model import (
    QualityModel,
    gain_of,
    gain_per_cost,
    load_quality_model,
    quality_model_of,
)
from pipelines.weights import WeightsError, load_weights
from synthralos.domain.quality import KINDS

FOLDER = Path(quality_model.__file__).parent

OF_KIND = {
    "code": "def largest(values: list) -> int:\n    '''Return the largest.\n    >>> largest([1, 4])\n    4\n    '''\n",
    "hard_math": "Let $f(x) = x^2 - 3x + 2$. Find the sum of all real $x$ with $f(x) = \\frac{1}{2}$.",
    "word_problems": "Nina bakes 24 rolls a day and sells each for $2. On Sundays she sells half as many. "
    "How much does she earn in a week?",
    "search_questions": "who sang the theme song of the show about the lighthouse",
    "sentence_writing": "bread, river, walk, lamp, dog, market, sing, blue, carry, window, winter, door",
}
UNLIKE_ANY = "zzkq wv xj 8821 ~~ qpl"


@pytest.fixture(scope="module")
def model() -> QualityModel:
    return load_quality_model()


@pytest.mark.parametrize(("kind", "prompt"), OF_KIND.items())
def test_kinds_are_told_apart(model: QualityModel, kind: str, prompt: str) -> None:
    judged = model.judge([prompt])
    assert KINDS[int(judged.kinds[0].argmax())] == kind


def test_a_text_like_nothing_is_unfamiliar(model: QualityModel) -> None:
    judged = model.judge([UNLIKE_ANY, OF_KIND["word_problems"]])
    assert judged.familiar.tolist() == [False, True]


def test_a_prompt_is_judged_alike_alone_and_in_a_batch(model: QualityModel) -> None:
    texts = [*OF_KIND.values(), "", "a"]
    together, alone = model.judge(texts), [model.judge([text]) for text in texts]
    assert np.allclose(together.gain, [each.gain[0] for each in alone], atol=1e-5)
    assert np.allclose(together.kinds, [each.kinds[0] for each in alone], atol=1e-5)


def test_no_texts_are_no_judgements(model: QualityModel) -> None:
    assert model.judge([]).kinds.shape == (0, len(KINDS))


def test_of_equal_gains_the_shorter_prompt_is_worth_more() -> None:
    gain, output = np.array([0.2, 0.2]), np.array([10.0, 10.0])
    short, long = gain_per_cost(gain, output, ["x" * 40, "x" * 4_000])
    assert short > long > 0


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    text = "b" * MOST_CHARACTERS + "e" * MOST_CHARACTERS
    assert len(shortened(text)) == MOST_CHARACTERS
    assert (shortened(text)[0], shortened(text)[-1]) == ("b", "e")


def test_the_cheapest_within_what_may_be_given_up() -> None:
    expected, costs = np.array([[0.9, 0.86, 0.5, 0.86]]), np.array([[9.0, 2.0, 1.0, 3.0]])
    chosen = [int(cheapest_within(expected, costs, give_up)[0]) for give_up in (0, 0.05, 0.5)]
    assert chosen == [0, 1, 2]


def test_the_exchange_weighs_quality_with_cost() -> None:
    expected, costs = np.array([[0.9, 0.8]]), np.array([[10.0, 1.0]])
    assert [int(best_exchange(expected, costs, exchange)[0]) for exchange in (0.01, 0.02)] == [0, 1]


def test_weights_of_another_version_are_refused() -> None:
    arrays = load_weights(quality_model.__package__, "quality")
    without_bands = {name: values for name, values in arrays.items() if name != "band_gains"}
    for other in ({**arrays, "bias": arrays["bias"][:-1]}, without_bands):
        with pytest.raises(WeightsError, match="version"):
            quality_model_of(other)


def test_a_band_adds_its_gain_as_far_as_it_is_likely() -> None:
    gains, unsure, sure = np.array([-0.1, 0.3]), [[0.5, 0.5]], [[0.0, 1.0]]
    assert gain_of(np.array([0.05]), np.array(unsure), gains)[0] == pytest.approx(0.05 + 0.1)
    assert gain_of(np.array([0.05]), np.array(sure), gains)[0] == pytest.approx(0.05 + 0.3, abs=1e-3)


def test_a_gain_is_no_more_than_all_quality_there_is() -> None:
    assert gain_of(np.array([5.0, -5.0]), np.zeros((2, 2)), np.zeros(2)).tolist() == [1, -1]


def test_what_long_cases_gain_for_their_cost_is_less_than_what_short_exact_questions_gain(model: QualityModel) -> None:
    options = (
        "\nA. Yes, for the buyer.\nB. No, as the deed was void.\nC. Yes, by statute.\nD. No, for the heir.\nAnswer:"
    )
    case = (
        "A landowner conveyed her farm by deed to a buyer, who failed to record it. " * 12 + "Who prevails?" + options
    )
    exact = "Which algorithm finds paths in a graph with negative edges?\nA. Prim\nB. Bellman-Ford\nC. DFS\nAnswer:"
    judged = model.judge([case, exact])
    long, short = gain_per_cost(judged.gain, judged.output, [case, exact])
    assert short > long > 0


def test_the_weights_are_small() -> None:
    assert (FOLDER / "weights.npz").stat().st_size < 2_000_000


def score(monkeypatch: pytest.MonkeyPatch, data: str, path: Path) -> int:
    monkeypatch.setattr(sys, "argv", ["route", "score", "--data", data, str(path)])
    return main()


def test_scores_come_in_the_order_of_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: QualityModel
) -> None:
    texts = [f"{text} {number}" for number in range(20) for text in OF_KIND.values()]
    path = tmp_path / "prompts.jsonl.gz"
    path.write_bytes(gzip.compress("\n\n".join(json.dumps({"prompt": text}) for text in texts).encode()))
    assert score(monkeypatch, "two_models", path) == 0
    judged = model.judge(texts)
    found = [float(line) for line in capsys.readouterr().out.splitlines()]
    assert np.allclose(found, gain_per_cost(judged.gain, judged.output, texts), atol=1e-5)


def test_one_of_the_nine_is_named_and_the_best_for_what_is_unlike_any(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: QualityModel
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": text}) for text in [UNLIKE_ANY, *OF_KIND.values()]))
    assert score(monkeypatch, "nine_models", path) == 0
    named = capsys.readouterr().out.splitlines()
    assert named[0] == model.nine.names[model.nine.best]
    assert set(named) <= set(model.nine.names)
    assert len(named) == 1 + len(OF_KIND)


@pytest.mark.parametrize("line", ["{", "[1]", '{"text": "a"}', '{"prompt": 3}', "[" * 200_000])
def test_a_bad_line_is_told_by_its_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(f'{{"prompt": "a"}}\n\n{line}\n')
    assert score(monkeypatch, "two_models", path) == 2
    assert "line 3" in capsys.readouterr().err


def test_a_mark_before_the_text_is_no_part_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "Name three rivers"}\n', encoding="utf-8-sig")
    assert score(monkeypatch, "two_models", path) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_gzip_that_is_broken_inside_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl.gz"
    path.write_bytes(gzip.compress(b"")[:10] + b"\xff" * 50)
    assert score(monkeypatch, "two_models", path) == 2
    assert capsys.readouterr().err


def test_a_file_that_is_no_gzip_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl.gz"
    path.write_text('{"prompt": "a"}\n')
    assert score(monkeypatch, "two_models", path) == 2
    assert capsys.readouterr().err
