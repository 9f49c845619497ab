from hypothesis import given
from hypothesis import strategies as st

from pipelines.tokens import OLD_ENCODINGS, TokenCounter, estimate, measure, upper_bound
from tests.fakes.generated import texts

COUNTER = TokenCounter()
ENCODINGS = sorted({"o200k_base", *OLD_ENCODINGS.values()})


@given(st.lists(st.text()), st.sampled_from(ENCODINGS))
def test_an_exact_count_never_exceeds_the_upper_bound(pieces: list[str], encoding: str) -> None:
    assert COUNTER.count(pieces, encoding) <= upper_bound(pieces)


@given(st.lists(st.text()))
def test_an_estimate_never_exceeds_the_upper_bound(pieces: list[str]) -> None:
    assert estimate(pieces) <= upper_bound(pieces)


@given(st.lists(texts), st.lists(texts))
def test_more_text_is_never_estimated_shorter(some: list[str], more: list[str]) -> None:
    assert estimate(some) <= estimate(some + more)


@given(st.lists(texts))
def test_bytes_are_those_of_utf8(pieces: list[str]) -> None:
    assert measure(pieces).bytes == len("".join(pieces).encode())
