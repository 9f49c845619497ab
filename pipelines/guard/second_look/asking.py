"""Asks a second look about the prompts of a batch that need one, and bears what becomes of it."""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.guard.abuse.model import HEADS
from pipelines.guard.second_look.protocol import Floats, SecondLook
from synthralos.telemetry.families import SECOND_LOOKS
from synthralos.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_NOISE = HEADS.index("noise")

SEEN, UNSEEN = 1, 2


class SecondLooks:
    """What the abuse guard asks."""

    def __init__(self, look: SecondLook, metrics: Metrics) -> None:
        self._look = look
        self._counts = metrics.counters(SECOND_LOOKS)

    @property
    def fails_open(self) -> bool:
        """See `SecondLook.fails_open`."""
        return self._look.fails_open

    def at(self, texts: Sequence[str], scores: Floats, above: Floats) -> npt.NDArray[np.int8]:
        """Put into `above` what was seen at a second look; `SEEN` or `UNSEEN` for those that needed one, else 0.

        `scores` and `above` have a row a text: log-odds, and how far they are above the thresholds. What is noise to
        the first look stays noise.
        """
        state = np.zeros(len(texts), np.int8)
        most, (least, sure) = above.max(axis=1), self._look.zone
        unsure = (most >= least) & (most <= sure) & (above[:, _NOISE] <= 0) & np.array([bool(text) for text in texts])
        places = np.flatnonzero(unsure).tolist()
        if not places:
            return state
        rows = self._asked([texts[place] for place in places], scores[places])
        for place, row in zip(places, rows, strict=True):
            state[place] = UNSEEN if row is None else SEEN
            self._counts[(_outcome(above[place], row),)].inc()
            if row is not None:
                above[place] = row
        return state

    def _asked(self, texts: list[str], scores: Floats) -> list[Floats | None]:
        try:
            return self._look.look(texts, scores)
        except Exception:  # the edge to a model of anybody's: what becomes of the jobs is declared
            log.exception("the second look failed on %d prompts", len(texts))
            return [None] * len(texts)


def _outcome(before: Floats, after: Floats | None) -> str:
    if after is None:
        return "unseen"
    was, now = before.max() > 0, after.max() > 0
    return "agreed" if was == now else "raised" if now else "cleared"
