"""Fingerprints and embeddings: equal for what reads the same, whatever the text."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.letters import single_spaced
from pipelines.similarity.embedding import NgramEmbedder
from pipelines.similarity.plain import fingerprint, plain

EMBEDDER = NgramEmbedder()
LOOK_ALIKES = dict(zip("aeopcxyijsh", "аеорсхуіјѕһ", strict=True))
WORDS = st.lists(
    st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzäöüßéñ0123456789.,?你好жш"), min_size=1, max_size=8),
    min_size=1,
    max_size=12,
)


@given(WORDS, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_case_spaces_invisible_and_look_alike_letters_do_not_matter(words: list[str], rng: st.DataObject) -> None:
    text = " ".join(words)
    dressed = "".join(LOOK_ALIKES.get(char, char) if rng.random() < 0.5 else char for char in text)
    dressed = "".join(char.upper() if rng.random() < 0.5 else char for char in dressed)
    dressed = "".join(char + rng.choice(["", "\u200b", "\u2060", "\ufe0f"]) for char in dressed)
    dressed = rng.choice([" ", "\n\n", "\u00a0"]) + dressed.replace(" ", rng.choice([" ", "\t", "  ", "\u2003"]))
    assert fingerprint(dressed) == fingerprint(text)
    assert np.array_equal(EMBEDDER.embed([dressed]), EMBEDDER.embed([text]))


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("17", "18"), ("can", "can't"), ("", "."), ("x<y", "x>y")])
def test_what_reads_differently_has_another_fingerprint(one: str, other: str) -> None:
    assert fingerprint(one) != fingerprint(other)


@given(st.text(st.sampled_from(" \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\u00a0\u2003abé"), max_size=40))
@settings(max_examples=200, deadline=None)
def test_single_spacing_is_what_splitting_and_joining_is(text: str) -> None:
    assert single_spaced(text) == " ".join(text.split())


@given(st.text(st.characters(), max_size=80))
@settings(max_examples=150, deadline=None)
def test_any_text_has_a_fingerprint_and_a_vector(text: str) -> None:
    assert len(bytes.fromhex(fingerprint(text))) == 16
    assert plain(plain(text)) == plain(text) or not text.isascii()
    [vector] = EMBEDDER.embed([text])
    length = float(np.linalg.norm(vector))
    assert length == pytest.approx(1.0 if plain(text).strip("\0 ") else 0.0, abs=1e-5)


@given(st.lists(st.text(max_size=40), max_size=80))
@settings(max_examples=30, deadline=None)
def test_a_vector_does_not_depend_on_the_batch(texts: list[str]) -> None:
    together = EMBEDDER.embed(texts)
    assert together.shape == (len(texts), EMBEDDER.dimensions)
    assert together.dtype == np.float32
    for vector, text in zip(together, texts, strict=True):
        assert np.allclose(vector, EMBEDDER.embed([text])[0], atol=1e-6)


def test_what_is_alike_is_near_and_what_is_not_is_far() -> None:
    one, typed, other = EMBEDDER.embed(
        ["Name three rivers in France.", "Nmae three rivrs in France!", "How do I bake bread without yeast?"]
    )
    assert one @ typed > 0.5 > 0.3 > one @ other


@pytest.mark.parametrize(
    "nasty", ["a\u0301\u0323" * 300_000, "ﷺ" * 50_000, "\ud800" * 500_000, "ab " * 3_000_000, "\0" * 9_000]
)
def test_no_text_takes_long(nasty: str) -> None:
    began = time.process_time()
    fingerprint(nasty)
    EMBEDDER.embed([nasty])
    assert time.process_time() - began < 5
