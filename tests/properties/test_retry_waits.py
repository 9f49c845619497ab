"""Whatever a server writes into its headers, the wait is one that can be kept, or there is none."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.retry_after import MOST_SECONDS, retry_after

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAMES = st.sampled_from(["retry-after", "retry-after-ms", "date", "other"])


@given(st.dictionaries(NAMES, st.text() | st.floats().map(str) | st.integers().map(str)))
def test_no_header_breaks_it_and_no_wait_is_longer_than_can_be_true(headers: dict[str, str]) -> None:
    wait = retry_after(headers, NOW)
    assert wait is None or 0.0 <= wait <= MOST_SECONDS


@given(st.integers(0, int(MOST_SECONDS)), st.integers(-(10**6), 10**6))
def test_seconds_and_a_date_say_the_same_however_wrong_the_servers_clock_is(seconds: int, wrong: int) -> None:
    theirs = NOW + timedelta(seconds=wrong)
    until = format_datetime(theirs + timedelta(seconds=seconds), usegmt=True)
    by_date = {"retry-after": until, "date": format_datetime(theirs, usegmt=True)}
    assert retry_after(by_date, NOW) == retry_after({"retry-after": str(seconds)}, NOW) == seconds


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_of_several_wishes_the_longest_counts(wishes: list[int]) -> None:
    assert retry_after({"retry-after": ", ".join(map(str, wishes))}, NOW) == max(wishes)
