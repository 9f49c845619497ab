"""A time in pieces that sums answer for: nothing is missing, nothing counts twice."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.metrics import aligned, stretches
from synthralos.domain.observing import SPANS, begin_of

NOW = datetime(2026, 5, 17, 13, 37, 12, tzinfo=UTC)


@given(st.integers(1, 60 * 24 * 300), st.integers(0, 60 * 24 * 300), st.sampled_from([None, *SPANS]))
def test_the_pieces_are_the_time(minutes: int, length: int, finest: str | None) -> None:
    since, until = aligned(NOW - timedelta(minutes=minutes), NOW - timedelta(minutes=max(0, minutes - length - 1)), NOW)
    if finest is not None and (begin_of(finest, since), begin_of(finest, until)) != (since, until):
        finest = None
    at = since
    pieces = list(stretches(since, until, finest))
    for piece in pieces:
        assert piece.since == at < piece.until
        assert begin_of(piece.span, piece.since) == piece.since
        assert begin_of(piece.span, piece.until) == piece.until
        assert finest is None or SPANS[piece.span] <= SPANS[finest]
        at = piece.until
    assert at == until
    assert len(pieces) <= (1 if finest == "minute" else 5)


def test_a_month_is_days_with_hours_and_minutes_at_its_ends() -> None:
    since, until = datetime(2026, 5, 1, 22, 58, tzinfo=UTC), datetime(2026, 5, 17, 1, 2, tzinfo=UTC)
    assert [piece.span for piece in stretches(since, until)] == ["minute", "hour", "day", "hour", "minute"]
