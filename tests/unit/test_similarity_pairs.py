"""The pair model: the same prompt in other clothes is the same, another one in the same clothes is not."""

import hashlib
import random
import string
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.similarity import pairs
from pipelines.similarity.bits import in_order
from pipelines.similarity.features import SIGNS, features
from pipelines.similarity.pairs import SAME_FROM, PairModel, load_pair_model
from pipelines.similarity.reading import read
from pipelines.weights import WeightsError, read_weights

FOLDER = Path(pairs.__file__).parent
RIVERS = "Name three rivers in France and the towns at which they reach the sea."


@pytest.fixture(scope="module")
def model() -> PairModel:
    return load_pair_model()


@pytest.mark.parametrize(
    "other",
    [
        RIVERS.upper(),
        RIVERS.replace(" ", "  \n"),
        RIVERS.replace("e", "е").replace("a", "а"),
        "\u200b".join(RIVERS),
        f"Hello! Please {RIVERS[0].lower()}{RIVERS[1:]} Thank you!",
        f'User: "{RIVERS}"',
        "Nane three rivres in Frnace and the towns at whihc they reach the sea.",
        "Name three rivers in Germany, no wait, I mean in France and the towns at which they reach the sea.",
        "Name three ri vers in Fr ance and the townsat which they reach the sea",
        "N4m3 three r1v3rs in Fr4nc3 and the t0wns at which they reach the s3a.",
    ],
)
def test_the_same_prompt_in_other_clothes_is_the_same(model: PairModel, other: str) -> None:
    assert model.score(RIVERS, other) >= SAME_FROM


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (RIVERS, "How do I bake bread without yeast?"),
        (RIVERS, "Name three mountains in France and the towns at which they can be seen."),
        ("What did the treaty of 1648 change?", "What did the treaty of 1763 change?"),
        ("Add 17 to the sum of 4 and 5.", "Add 18 to the sum of 4 and 5."),
        ("Which towns were on the railway?", "Which towns weren't on the railway?"),
        ("Which drugs are legal in Portugal?", "Which drugs are illegal in Portugal?"),
        ("Is x < y true for all of these?", "Is x > y true for all of these?"),
        ("", RIVERS),
        ("???", "What is that???"),
    ],
)
def test_another_prompt_in_the_same_clothes_is_not(model: PairModel, first: str, second: str) -> None:
    assert model.score(first, second) < SAME_FROM


@pytest.mark.parametrize("text", ["", " ", RIVERS, "?!", "\ud800", "\u200b", "你好", "a", "0", "🙂🙂", "ß" * 5_000])
def test_a_text_is_the_same_as_itself(model: PairModel, text: str) -> None:
    assert model.score(text, text) == 1.0


ODD = st.text(st.sampled_from("ab N0é你ß\u0301\u200b\ud800'-4 \n\u0e01ﷺİ.?"), max_size=60)
"""Characters that other tools stumble over, in any mixture."""


@given(st.one_of(ODD, st.text(max_size=60)), st.one_of(ODD, st.text(max_size=60)))
@settings(max_examples=150, deadline=None)
def test_any_two_texts_have_one_score(one: str, other: str) -> None:
    model = load_pair_model()
    assert 0.0 <= model.score(one, other) <= 1.0
    assert model.score(one, other) == model.score(other, one)
    assert model.score(one, f"  {one} ") == 1.0


WORDS = st.lists(
    st.sampled_from(["what", "who", "is", "not", "river", "rivers", "town", "the", "unlike", "like", "7", "8", "<"]),
    max_size=12,
).map(" ".join)


@given(st.one_of(ODD, WORDS), st.one_of(ODD, WORDS))
@settings(max_examples=300, deadline=None)
def test_who_asks_for_the_same_alone_is_told_the_score_where_they_are_and_else_nothing(one: str, other: str) -> None:
    model = load_pair_model()
    score = model.score(one, other)
    assert model.same(one, other) == (score if score >= SAME_FROM else None)


@given(
    st.lists(
        st.sampled_from(["what", "who", "do", "not", "non", "river", "town", "a", "unlike", "like", "7"]), max_size=12
    )
)
@settings(max_examples=80, deadline=None)
def test_features_are_numbers_in_their_bounds(words: list[str]) -> None:
    found = dict(
        zip(SIGNS, features(read(" ".join(words)), read("what does the river like"), bytes(1 << 15)), strict=True)
    )
    for name in ("words_contained", "letters_in_order", "within", "negated", "opposites"):
        assert 0.0 <= found[name] <= 1.0


@pytest.mark.parametrize(
    "nasty",
    [
        "a" * 10_000_000,
        "a1" * 50_000,
        "0a " * 30_000,
        "é" * 90_000,
        "a\u0301\u0323" * 300_000,
        "ﷺ" * 9_000,
        "\ud800" * 9_000,
    ],
)
def test_no_pair_takes_long(model: PairModel, nasty: str) -> None:
    began = time.process_time()
    model.score(nasty, nasty[::2] + RIVERS)
    assert time.process_time() - began < 3


def test_long_texts_of_many_odd_words_do_not_take_long(model: PairModel) -> None:
    rng = random.Random(1)
    one, other = (" ".join("".join(rng.choices(string.ascii_lowercase, k=5)) for _ in range(2_000)) for _ in range(2))
    began = time.process_time()
    model.score(one, other)
    assert time.process_time() - began < 1


def test_damaged_weights_are_told() -> None:
    data, wanted = (FOLDER / "weights.npz").read_bytes(), (FOLDER / "weights.sha256").read_text().strip()
    assert pairs.pair_model_of(read_weights(data, wanted, "pair")) == load_pair_model()
    for damaged in (data[:-1] + b"?", data[:100], b""):
        with pytest.raises(WeightsError, match="damaged"):
            read_weights(damaged, wanted, "pair")


def test_weights_of_other_features_are_refused() -> None:
    with pytest.raises(WeightsError):
        pairs.pair_model_of(
            {name: np.zeros(2) for name in ("mean", "deviation", "weights", "bias", "threshold", "rarity")}
        )


def test_the_weights_are_small_and_their_own() -> None:
    data = (FOLDER / "weights.npz").read_bytes()
    assert len(data) < 200_000
    assert hashlib.sha256(data).hexdigest() == (FOLDER / "weights.sha256").read_text().strip()


def test_no_weight_contradicts_its_sign(model: PairModel) -> None:
    assert all(sign * weight >= 0 for sign, weight in zip(SIGNS.values(), model.weights, strict=True))


LETTERS = st.text("abc", max_size=12)


@given(LETTERS, LETTERS)
def test_what_two_texts_have_in_the_same_order_is_the_longest_common_subsequence(one: str, other: str) -> None:
    longest = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, first in enumerate(one):
        for j, second in enumerate(other):
            longest[i + 1][j + 1] = longest[i][j] + 1 if first == second else max(longest[i][j + 1], longest[i + 1][j])
    assert in_order(one, other) == longest[-1][-1]
