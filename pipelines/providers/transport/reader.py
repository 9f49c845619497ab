"""Answers out of bytes, however these are cut. Knows no sockets and no clock."""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from pipelines.providers.transport.decoding import TooLong, Undecodable, decoded
from pipelines.providers.transport.protocol import Answer, Headers, Kind, Limits, TransportFailure

_BODILESS = frozenset({204, 304})


class _Stop(Exception):
    """The rest need not be read."""


class AnswerReader:
    """Reads one answer after another: `restart`, then `feed` until it is `complete` or there is a `problem`.

    `keep_alive` tells, after a complete answer, whether the connection can carry another request. Interim answers
    (1xx) are skipped.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_framed_twice",
        "_head_size",
        "_headers",
        "_limit",
        "_limits",
        "_parser",
        "_pieces",
        "_silence",
        "_size",
        "_status",
        "_streamed",
        "_until_close",
        "complete",
        "keep_alive",
        "problem",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._parser = HttpResponseParser(self)
        # Content-Length beside Transfer-Encoding: the latter counts, and the connection is not used again.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self.restart()

    def restart(self, *, streamed: bool = False) -> None:
        """Another answer is expected. `streamed`: where it is an event stream, its body is to be had by `pieces`."""
        self._streamed = streamed
        self._pieces: list[bytes] | None = None
        self.complete = False
        self.keep_alive = False
        self.problem: tuple[Kind, str] | None = None
        self._status = 0
        self._headers: Headers = {}
        self._body: bytes = b""
        self._buffer: bytearray | None = None
        self._size = self._limit = self._head_size = self._silence = 0
        self._until_close = self._framed_twice = False

    def feed(self, data: bytes) -> None:
        """The next bytes. What follows a complete answer spoils the connection and not the answer."""
        before = self._size
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.complete:
                self.keep_alive = False
            elif self.problem is None:
                self.problem = Kind.PROTOCOL, f"the answer is not HTTP/1.1: {error}"
            return
        self._silence = 0 if self._size > before else self._silence + len(data)
        if self._silence > self._limits.head and not self.complete:
            self._too_much_head()

    def pieces(self) -> bytes | None:
        """What came of an event stream since the last time; None where nothing did, or the answer is none."""
        if not self._pieces:
            return None
        [first, *more] = self._pieces
        self._pieces.clear()
        return b"".join((first, *more)) if more else first

    def end_of_stream(self) -> None:
        """The server sends nothing more: an answer that ends with its connection is complete."""
        if self._until_close and self.problem is None:
            self.complete = True

    def result(self) -> Answer | TransportFailure:
        """The complete answer, or the problem."""
        if self.problem is not None:
            return self.failure(*self.problem)
        body = self._body if self._buffer is None else bytes(self._buffer)
        encoding = self._headers.get(b"content-encoding")
        if encoding is not None:
            try:
                body = decoded(body, encoding, self._limit)
            except Undecodable as error:
                return self.failure(Kind.PROTOCOL, str(error))
            except TooLong as error:
                return self.failure(Kind.TOO_LARGE, str(error))
        return Answer(self._status, self._headers, body)

    def failure(self, kind: Kind, message: str) -> TransportFailure:
        """What a call fails with that got no further than here."""
        return TransportFailure(kind, message, sent=True, status=self._status or None, headers=self._headers)

    # What the parser calls. It passes on no exception but its own, and stops at any.

    def on_message_begin(self) -> None:
        """The first byte of an answer; a second answer is one that nobody asked for."""
        if self.complete:
            raise _Stop

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header field, or one of a trailer, which is dropped."""
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._limits.head:
            self._too_much_head()
            raise _Stop
        if self._status:
            return
        name, value = name.lower(), value.rstrip(b" \t")
        if name in self._headers:
            value = self._headers[name] + b", " + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        """The head is there; interim answers have one too."""
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            return
        if status < 100:
            self._stop(Kind.PROTOCOL, f"the answer has the status {status}")
        self._status = status
        self._limit = self._limits.answer if status == 200 else self._limits.error
        if self._streamed and status == 200 and _is_event_stream(self._headers):
            self._pieces = []
        coding, length = self._headers.get(b"transfer-encoding"), self._headers.get(b"content-length")
        if status in _BODILESS:
            return
        if coding is not None:
            self._framed_twice = length is not None
            if coding.lower() != b"chunked":
                self._stop(Kind.PROTOCOL, f"unknown transfer coding {coding.decode('latin-1')!r}")
        elif length is None:
            self._until_close = True
        elif int(length) > self._limit:
            self._too_long()

    def on_body(self, data: bytes) -> None:
        """A piece of the body. Pieces may be of one byte each, so that a list of them would be a burden."""
        self._size += len(data)
        if self._size > self._limit:
            self._too_long()
        if self._pieces is not None:
            self._pieces.append(data)
        elif self._buffer is not None:
            self._buffer += data
        elif self._body:
            self._buffer = bytearray(self._body) + data
        else:
            self._body = data

    def on_message_complete(self) -> None:
        """The answer is whole, or an interim one is over."""
        if not self._status:
            self._headers.clear()
            return
        self.complete = True
        self.keep_alive = self._parser.should_keep_alive() and not self._framed_twice

    def _too_long(self) -> None:
        self._stop(Kind.TOO_LARGE, f"the answer is longer than {self._limit} bytes")

    def _too_much_head(self) -> None:
        self.problem = Kind.TOO_LARGE, f"the answer's head is longer than {self._limits.head} bytes"

    def _stop(self, kind: Kind, message: str) -> None:
        self.problem = kind, message
        raise _Stop


def _is_event_stream(headers: Headers) -> bool:
    """An event stream that can be read as it comes: nobody asked for an encoded one."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind == b"text/event-stream" and headers.get(b"content-encoding", b"identity").lower() == b"identity"
