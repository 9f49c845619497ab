"""Who waits is called by weight, in tokens, in the order of its line, and nobody is passed over."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.turns import Line, Path, Turn, Turns, line_name, path_of

_SIZES = st.lists(st.integers(1, 4_000), min_size=1, max_size=60)
_LINES = st.dictionaries(st.sampled_from("abcdef"), st.tuples(_SIZES, st.integers(1, 100)), min_size=1)
_Waiting = dict[str, tuple[list[int], int]]


def lines_of(waiting: _Waiting, gone: Counter[str]) -> dict[Path, Line]:
    """What is left of each line."""
    return {
        (name,): Line([Turn(f"{name}{i}", size) for i, size in enumerate(sizes)][gone[name] :], [weight])
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
    turns.next({("a",): Line(alone, [1])}, before)
    both = {("a",): Line(alone[before:], [1]), ("b",): Line([Turn(f"b{i}", 100) for i in range(50)], [1])}
    called = turns.next(both, 20)
    assert 9 <= sum(each.startswith("b") for each in called) <= 11
    assert turns.first([("a",), ("b",)], 1)[0] in both


def test_who_had_least_is_looked_at_first() -> None:
    turns = Turns()
    turns.next({("a",): Line([Turn("a0", 1_000)], [1]), ("b",): Line([Turn("b0", 10)], [1])}, 2)
    assert turns.first([("a",), ("b",), ("c",)], 2) == [("c",), ("b",)]


_LEAVES = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from(["", "u", "v"])),
    st.lists(st.integers(1, 4_000), min_size=1, max_size=40),
    min_size=1,
)
_WEIGHTS = st.fixed_dictionaries({name: st.integers(1, 100) for name in "abxyz"})


@given(_LEAVES, _WEIGHTS, st.integers(1, 20))
def test_each_level_shares_by_weight_what_the_level_above_has(
    waiting: dict[Path, list[int]], weights: dict[str, int], at_once: int
) -> None:
    turns, gone, had = Turns(), Counter[Path](), Counter[Path]()
    of = {f"{path}{i}": (path, size) for path, sizes in waiting.items() for i, size in enumerate(sizes)}
    largest = max(max(sizes) for sizes in waiting.values())
    while all(gone[path] + at_once <= len(sizes) for path, sizes in waiting.items()):
        lines = {
            path: Line(
                [Turn(f"{path}{i}", size) for i, size in enumerate(waiting[path])][gone[path] :],
                [weights.get(name, 1) for name in path],
            )
            for path in turns.first(list(waiting), len(waiting))
        }
        for each in turns.next(lines, at_once):
            path, size = of[each]
            gone[path] += 1
            for level in range(1, 4):
                had[path[:level]] += size
    for one in had:
        for other in had:
            if one[:-1] == other[:-1] and len(one) == len(other):
                a, b = weights.get(one[-1], 1), weights.get(other[-1], 1)
                assert abs(had[one] / a - had[other] / b) <= largest / a + largest / b + 1e-6


def test_nobody_starves_where_a_round_looks_into_a_few_of_very_many_lines() -> None:
    waiting = {("a", f"w{i}", ""): [Turn(f"w{i}", 100)] for i in range(50)} | {
        (name, "default", ""): [Turn(name, 100)] for name in "bcdef"
    }
    turns, called = Turns(), set[str]()
    for _ in range(100):
        chosen = turns.first(list(waiting), 6)
        assert len(chosen) == 6
        called.update(turns.next({path: Line(waiting[path], (1, 1, 1)) for path in chosen}, 3))
    assert called == {turn.id for [turn] in waiting.values()}


@given(st.text("abc", min_size=1), st.sampled_from(["default", "w"]), st.sampled_from([None, "u"]))
def test_a_line_s_name_tells_whose_it_is(organization: str, workspace: str, user: str | None) -> None:
    assert path_of(line_name(organization, workspace, user)) == (organization, workspace, user or "")
