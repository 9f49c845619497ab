"""Runs of a model: texts that are about as long go together, a few at a time, as long as there is time."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from pipelines.encoders.protocol import Vector, Vectors

CHARACTERS_READ = 4_000
"""Of a text: more than the tokens that models read, whatever the language."""

_RUN_CHARACTERS, _RUN_TEXTS = 2_048, 16
"""Of one run, padding included. About 500 tokens: 0.05 to 0.2 seconds of a core for a model of 22 million weights."""
_LEAST_PADDED = 32

Run = Callable[[Sequence[str]], Vectors]


class Runs:
    """One run at a time. Who waits for its turn spends its own time."""

    def __init__(self, run: Run, clock: Callable[[], float] = time.monotonic) -> None:
        """`run`: a row of length 1 for each of a few texts, none of which is empty. `clock` in seconds."""
        self._run = run
        self._clock = clock
        self._turn = threading.Lock()

    def encode(self, texts: Sequence[str], seconds: float) -> list[Vector | None]:
        """See `Encoder.encode`."""
        found: list[Vector | None] = [None] * len(texts)
        end = self._clock() + seconds
        cut = [_readable(text) for text in texts]
        for places in _together([len(text) for text in cut]):
            left = end - self._clock()
            if left <= 0 or not self._turn.acquire(timeout=left):
                break
            try:
                rows = self._run([cut[place] for place in places])
            finally:
                self._turn.release()
            for place, row in zip(places, rows, strict=True):
                found[place] = row
        return found


def _readable(text: str) -> str:
    """What is read of a text: without halves of surrogate pairs, which have no form in UTF-8, and never nothing."""
    read = text[:CHARACTERS_READ]
    return (read if read.isascii() else read.encode("utf-8", "replace").decode()) or " "


def _together(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of all texts, the shortest first, so that most are served where time runs out."""
    places: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        padded = max(min(lengths[place], _RUN_CHARACTERS), _LEAST_PADDED)
        if places and (len(places) == _RUN_TEXTS or (len(places) + 1) * padded > _RUN_CHARACTERS):
            yield places
            places = []
        places.append(place)
    if places:
        yield places
