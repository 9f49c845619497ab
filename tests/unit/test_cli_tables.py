"""Tables fit into any terminal, and lose nothing in a pipe."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from cli.tables import Column, Listing

ID, STATE = "019a0000-0000-7000-8000-000000000000", "succeeded"
COLUMNS = (
    Column("id"),
    Column("state"),
    Column("model", cut=True),
    Column("cost", right=True),
    Column("what", cut=True),
)
ROWS = [
    [ID, Text(STATE, "green"), "sandbox/small", "$0.01", "invalid_request: " + "reasons " * 40],
    [ID, Text("queued"), "a-provider/with-a-very-long-name-of-a-model@region", "$12.5", "漢字\x1b[2J\n😀"],
]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 400])
def test_ids_and_states_are_whole_in_every_terminal(width: int) -> None:
    shown = Listing(COLUMNS, ROWS).text(width).plain
    assert shown.count(ID) == 2
    assert STATE in shown
    assert "\x1b" not in shown
    if width >= 80:
        assert max(map(cell_len, shown.splitlines())) <= width
        assert len(shown.splitlines()) == 3


def test_a_pipe_gets_one_line_a_row_with_nothing_cut() -> None:
    lines = Listing(COLUMNS, ROWS).text(None).plain.splitlines()
    assert len(lines) == 3
    assert lines[1].endswith(ROWS[0][4].rstrip())
    assert lines[1].split()[:2] == [ID, STATE]


def test_a_terminal_that_is_too_narrow_gets_a_field_a_line() -> None:
    lines = Listing(COLUMNS, ROWS[:1]).text(44).plain.splitlines()
    assert lines[0].split() == ["id", ID]
    assert lines[1].split() == ["state", STATE]


def test_no_rows_are_the_names_of_the_columns() -> None:
    assert Listing(COLUMNS, []).text(None).plain.split() == [column.name for column in COLUMNS]


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=4), st.integers(1, 200))
def test_any_text_fits_into_any_width_or_is_a_field_a_line(rows: list[tuple[str, str, str]], width: int) -> None:
    columns = (Column("a", cut=True), Column("b", cut=True, right=True), Column("c", cut=True))
    lines = Listing(columns, rows).text(width).plain.split("\n")
    assert max(map(cell_len, lines)) <= max(width, 1 + 2 + 8)
