"""Who waits is called by weight, in tokens, in the order of its line, and nobody is passed over."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.turns import Line, Turn, Turns

_SIZES = st.lists(st.integers(1, 4_000), min_size=1, max_size=60)
_LINES = st.dictionaries(st.sampled_from("abcdef"), st.tuples(_SIZES, st.integers(1, 100)), min_size=1)
_Waiting = dict[str, tuple[list[int], int]]


def lines_of(waiting: _Waiting, gone: Counter[str]) -> dict[str, Line]:
    """What is left of each line."""
    return {
        name: Line([Turn(f"{name}{i}", size) for i, size in enumerate(sizes)][gone[name] :], weight)
        for name, (sizes, weight) in waiting.items()
    }


@given(_LINES, st.integers(1, 40))
def test_everybody_is_called_once_in_the_order_of_its_line(waiting: _Waiting, at_once: int) -> None:
    turns, gone, called = Turns(), Counter[str](), list[str]()
    while some := turns.next(lines_of(waiting, gone), at_once):
        assert len(some) <= at_once
        gone.update(each[0] for each in some)
        called += some
    for name, (sizes, _) in waiting.items():
        assert [each for each in called if each[0] == name] == [f"{name}{i}" for i in range(len(sizes))]


@given(_LINES, st.integers(1, 40))
def test_shares_differ_by_no_more_than_the_largest_job_of_each_while_all_wait(waiting: _Waiting, at_once: int) -> None:
    turns, gone, had = Turns(), Counter[str](), Counter[str]()
    while all(gone[name] + at_once <= len(sizes) for name, (sizes, _) in waiting.items()):
        for each in turns.next(lines_of(waiting, gone), at_once):
            name, place = each[0], int(each[1:])
            had[name] += waiting[name][0][place]
            gone[name] += 1
        for one, (sizes, weight) in waiting.items():
            for other, (others, heavier) in waiting.items():
                apart = abs(had[one] / weight - had[other] / heavier)
                assert apart <= max(sizes) / weight + max(others) / heavier + 1e-6


@given(st.integers(1, 500), st.integers(1, 50))
def test_who_comes_anew_neither_catches_up_nor_waits_for_what_others_had(before: int, weight: int) -> None:
    turns = Turns()
    alone = [Turn(f"a{i}", 100) for i in range(before + 50)]
    turns.next({"a": Line(alone, 1)}, before)
    both = {"a": Line(alone[before:], 1), "b": Line([Turn(f"b{i}", 100) for i in range(50)], 1)}
    called = turns.next(both, 20)
    assert 9 <= sum(each.startswith("b") for each in called) <= 11
    assert turns.first(["a", "b"], 1)[0] in ("a", "b")


def test_who_had_least_is_looked_at_first() -> None:
    turns = Turns()
    turns.next({"a": Line([Turn("a0", 1_000)], 1), "b": Line([Turn("b0", 10)], 1)}, 2)
    assert turns.first(["a", "b", "c"], 2) == ["c", "b"]
