"""Recent prompts of tenants: found again, within their bounds, the oldest forgotten first."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.similarity.embedding import Floats, NgramEmbedder
from pipelines.similarity.recent import Prompt, RecentPrompts

DIMENSIONS = 32
TEXTS = [
    f"Write a {kind} about {what}." for kind in ("poem", "report", "joke", "song") for what in ("rain", "tax", "cats")
]


def prompts(numbers: range, at: float | None = None) -> list[Prompt]:
    return [Prompt(f"j{n}", float(n) if at is None else at) for n in numbers]


def vectors(numbers: range) -> Floats:
    """A direction of its own for each number."""
    rows = [np.random.default_rng(n).standard_normal(DIMENSIONS) for n in numbers]
    made = np.array(rows, np.float32).reshape(len(rows), DIMENSIONS)
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def window(most: int = 100, seconds: float = 1e9) -> RecentPrompts:
    return RecentPrompts(DIMENSIONS, most, seconds)


def ids(recent: RecentPrompts) -> list[int]:
    """What is in the window, oldest first."""
    [found] = recent.search(np.ones((1, DIMENSIONS), np.float32), k=100_000)
    return sorted(int(near.prompt.job_id[1:]) for near in found)


def test_a_prompt_is_found_as_it_was_kept() -> None:
    embedder, recent = NgramEmbedder(), RecentPrompts(NgramEmbedder.dimensions)
    kept = [Prompt(f"job-{i}", 100.0 + i) for i in range(len(TEXTS))]
    recent.add(kept, embedder.embed(TEXTS))
    found = recent.search(embedder.embed([text.upper() for text in TEXTS]), k=3)
    assert [near[0].prompt for near in found] == kept
    assert [near[0].cosine for near in found] == pytest.approx([1.0] * len(TEXTS), abs=0.01)
    assert [[near.cosine for near in each] for each in found] == [
        sorted((near.cosine for near in each), reverse=True) for each in found
    ]


def test_among_many_the_same_ones_are_found() -> None:
    recent = window(most=20_000)
    recent.add(prompts(range(12_000)), vectors(range(12_000)))
    found = recent.search(vectors(range(0, 12_000, 500)), k=1)
    assert [near[0].prompt.job_id for near in found] == [f"j{n}" for n in range(0, 12_000, 500)]


def test_of_equals_the_newest_comes_first() -> None:
    recent = window()
    recent.add(prompts(range(3)), np.repeat(vectors(range(1)), 3, axis=0))
    [found] = recent.search(vectors(range(1)), k=3)
    assert [near.prompt.job_id for near in found] == ["j2", "j1", "j0"]


def test_an_empty_window_finds_nothing() -> None:
    assert window().search(vectors(range(2)), k=5) == [[], []]
    assert window().search(vectors(range(0)), k=5) == []


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="vectors"):
        window().add(prompts(range(1)), np.zeros((1, DIMENSIONS + 1), np.float32))


@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.integers(1, 50),
    st.floats(1, 100),
)
@settings(max_examples=60, deadline=None)
def test_a_window_holds_the_newest_and_never_more(batches: list[int], most: int, seconds: float) -> None:
    recent, number = window(most, seconds), 0
    for count in batches:
        recent.add(prompts(range(number, number + count)), vectors(range(number, number + count)))
        number += count
        recent.expire(float(number))
        assert ids(recent) == [n for n in range(number) if n >= number - most and n >= number - seconds]
        assert len(recent) <= most


def test_what_is_over_is_forgotten_and_gives_its_room_back() -> None:
    recent = window(most=1_000, seconds=60)
    small = recent.bytes
    recent.add(prompts(range(1_000), at=0.0), vectors(range(1_000)))
    assert recent.search(vectors(range(1)), k=1, now=61.0) == [[]]
    assert recent.bytes == small


def test_threads_may_share_a_window() -> None:
    recent = window(most=200)

    def work(number: int) -> int:
        begin = number * 50
        recent.add(prompts(range(begin, begin + 50)), vectors(range(begin, begin + 50)))
        return len(recent.search(vectors(range(begin, begin + 1)), k=10)[0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(30))) == [10] * 30
    assert len(recent) == 200
