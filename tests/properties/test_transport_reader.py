"""However the bytes of an answer are cut, it is the same answer; and no bytes at all make the reader stumble."""

import gzip
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.providers.transport.protocol import Answer, Limits, TransportFailure
from pipelines.providers.transport.reader import AnswerReader

LIMITS = Limits(answer=2_000, error=500, head=1_000)


def chunked(pieces: list[bytes]) -> bytes:
    chunks = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: t\r\n\r\n"


def sized(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def compressed(body: bytes) -> bytes:
    return b"Content-Encoding: gzip\r\n" + sized(gzip.compress(body))


def until_close(body: bytes) -> bytes:
    return b"\r\n" + body


bodies = st.binary(max_size=3_000)
heads = st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 No\r\nRetry-After: 1\r\n", b"HTTP/1.0 200 OK\r\n"])
interim = st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"])
behind = st.sampled_from([b"", b"", b"x", b"HTTP/1.1 200 OK\r\n"])
rests = st.one_of(
    bodies.map(sized), bodies.map(compressed), bodies.map(until_close), st.lists(bodies, max_size=4).map(chunked)
)
answers = st.tuples(interim, heads, rests, behind).map(b"".join)


def read(data: bytes, cuts: list[int]) -> tuple[Answer | TransportFailure | None, bool]:
    """What comes of the bytes in these pieces, and whether the connection is good for another request."""
    reader = AnswerReader(LIMITS)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        if reader.complete and end > start:
            return reader.result(), False  # what comes when nothing was asked closes the connection
        reader.feed(data[start:end])
        if reader.problem is not None:
            break
    if not reader.complete:
        reader.end_of_stream()
    if reader.complete or reader.problem is not None:
        return reader.result(), reader.keep_alive and reader.problem is None
    return None, False


def comparable(found: tuple[Answer | TransportFailure | None, bool]) -> object:
    result, reusable = found
    if isinstance(result, TransportFailure):  # how far it was read before is chance
        return result.kind, reusable
    return result, reusable


@settings(max_examples=400, deadline=None)
@given(answers, st.lists(st.integers(0, 5_000), max_size=12))
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert comparable(read(data, cuts)) == comparable(read(data, []))


@settings(max_examples=50, deadline=None)
@given(answers)
def test_an_answer_may_come_byte_by_byte(data: bytes) -> None:
    assert comparable(read(data, list(range(len(data))))) == comparable(read(data, []))


@settings(max_examples=400, deadline=None)
@given(answers, st.lists(st.tuples(st.integers(0, 5_000), st.binary(max_size=4)), min_size=1, max_size=4))
def test_bytes_that_were_changed_make_an_answer_or_a_failure_and_never_an_error(
    data: bytes, changes: list[tuple[int, bytes]]
) -> None:
    for place, new in changes:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + len(new) :]
    result, _ = read(data, [len(data) // 2])
    assert result is None or isinstance(result, Answer | TransportFailure)
    if isinstance(result, Answer):
        assert len(result.body) <= (LIMITS.answer if result.status == 200 else LIMITS.error)
