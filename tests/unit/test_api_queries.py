"""Cursors and times of the API."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Problem
from api.v1.queries import decode_cursor, encode_cursor
from pipelines.intake.schema import parse_time


@given(st.uuids())
def test_a_cursor_leads_back_to_its_job(job_id: object) -> None:
    assert decode_cursor(encode_cursor(str(job_id))) == str(job_id)


@given(st.text(max_size=64))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    status = 200
    try:
        decode_cursor(text)
    except Problem as problem:
        status = problem.status
    assert status in (200, 422)


@pytest.mark.parametrize(
    "text",
    ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2026-01-31 13:00:00+01:00", "2026-01-31T12:00:00.000000000Z"],
)
def test_rfc_3339_is_read_in_all_its_forms(text: str) -> None:
    assert parse_time(text) == datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-31", "20260131T120000Z", "2026-W05-6T12:00:00Z", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z",
     "2026-01-31T12:00:60Z", "0001-01-01T00:00:00+14:00", "2026-01-31T12:00:00+25:00", "٢٠٢٦-01-31T12:00:00Z"],
)  # fmt: skip
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)
