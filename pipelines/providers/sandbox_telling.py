"""The sandbox's way of streaming: words, spread over the time that the call takes."""

import asyncio
import re

from pipelines.providers.protocol import Cancel, Done, OnDelta
from synthralos.domain.attempts import Reply
from synthralos.domain.deltas import Delta
from synthralos.domain.failures import Failure

_WORD = re.compile(r"\s*\S+\s*|\s+")


def in_pieces(text: str) -> tuple[str, ...]:
    """The words of a text, with the blanks around them: together they are the text."""
    return tuple(_WORD.findall(text))


class Told:
    """One answer that is told piece by piece, the first at once. Lives on the event loop."""

    def __init__(
        self, seconds: float, pieces: tuple[str, ...], end: Reply | Failure, on_delta: OnDelta, done: Done
    ) -> None:
        self._pieces, self._end, self._on_delta, self._done = pieces, end, on_delta, done
        self._pause = seconds / len(pieces)
        self._next = 0
        self._timer: asyncio.Handle | None = None

    def begin(self) -> Cancel:
        """Begin to tell; what is returned stops it."""
        self._timer = asyncio.get_running_loop().call_soon(self._tell)
        return self._stop

    def _tell(self) -> None:
        if self._next == len(self._pieces):
            self._done(self._end)
            return
        piece = self._pieces[self._next]
        self._next += 1
        self._timer = asyncio.get_running_loop().call_later(self._pause, self._tell)
        self._on_delta(Delta(piece))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
