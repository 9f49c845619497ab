import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthralos.domain.ids import is_id, new_id, trace_id_of
from synthralos.domain.spans import parse_traceparent, root_span_id, stage_span_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.integers(1, 16**digits - 1).map(lambda number: f"{number:0{digits}x}")


@given(hexadecimal(32), hexadecimal(16), st.sampled_from(["00", "01"]))
def test_a_valid_header_gives_trace_and_span(trace: str, span: str, flags: str) -> None:
    assert parse_traceparent(f"00-{trace}-{span}-{flags}") == (trace, span)


@given(hexadecimal(32), hexadecimal(16), st.integers(1, 254))
def test_a_later_version_may_have_more_fields(trace: str, span: str, version: int) -> None:
    assert parse_traceparent(f"{version:02x}-{trace}-{span}-01-more") == (trace, span)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01",
    ],
)
def test_an_invalid_header_is_ignored(header: str) -> None:
    assert parse_traceparent(header) is None


@given(st.text())
def test_no_header_is_an_error(header: str) -> None:
    parsed = parse_traceparent(header)
    assert parsed is None or (len(parsed[0]), len(parsed[1])) == (32, 16)


def test_our_own_ids_make_a_valid_header() -> None:
    job_id = new_id()
    assert is_id(job_id)
    for span in (root_span_id(job_id), stage_span_id(job_id, 0)):
        assert parse_traceparent(f"00-{trace_id_of(job_id)}-{span}-01") == (trace_id_of(job_id), span)
