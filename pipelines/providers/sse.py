"""Server-sent events out of bytes, however these are cut. Knows no sockets and no clock.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream". `id` and `retry` are read over: a call to a
provider is never resumed.
"""

import codecs
from collections.abc import Iterator
from typing import NamedTuple

LONGEST_EVENT = 8 * 1024 * 1024
"""Bytes that one event may have, its last line among them. An image in Base64 may come in one event."""


class ServerEvent(NamedTuple):
    """One event: its name (`message` where the server gives none) and its data, lines joined with LF."""

    event: str
    data: str


class TooLongEvent(Exception):
    """The stream holds an event, or a line, that is longer than `LONGEST_EVENT`."""


class EventStream:
    """Takes bytes, gives the events that they complete. What the end leaves incomplete is dropped, as the rules say."""

    __slots__ = ("_after_cr", "_begun", "_data", "_event", "_limit", "_rest", "_size")

    def __init__(self, limit: int = LONGEST_EVENT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._begun = self._after_cr = False
        self._event, self._size = "", 0
        self._data: list[str] = []

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """The events that are complete with these bytes. Raises `TooLongEvent`."""
        for line in self._lines(piece):
            if not line:
                event = ServerEvent(self._event or "message", "\n".join(self._data)) if self._data else None
                self._forget()
                if event is not None:
                    yield event
            elif not line.startswith(b":"):
                self._take(line)

    def _forget(self) -> None:
        self._event, self._size = "", 0
        self._data.clear()

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name not in (b"data", b"event"):
            return
        self._size += len(line)
        if self._size > self._limit:
            raise TooLongEvent
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(text)
        else:
            self._event = text

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """Whole lines, which end with LF, CR or CRLF. The LF of a CRLF may come in a later piece."""
        rest = self._rest
        if not self._begun:
            rest += piece
            if len(rest) < len(codecs.BOM_UTF8) and codecs.BOM_UTF8.startswith(rest):
                return
            self._begun = True
            piece = bytes(rest).removeprefix(codecs.BOM_UTF8)
            rest.clear()
        if self._after_cr and piece:
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *lines = piece.split(b"\n")
        rest += first
        if len(rest) > self._limit:
            raise TooLongEvent
        if lines:
            *whole, last = (bytes(rest), *lines)
            rest[:] = last
            yield from whole
