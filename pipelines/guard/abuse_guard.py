"""The abuse guard: says of each prompt what it seems to be after, and how surely."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.guard.abuse.model import HEADS, AbuseModel, load_model
from pipelines.guard.abuse.reading import Read, Reader
from pipelines.guard.second_look.asking import SEEN, UNSEEN, SecondLooks
from pipelines.weights import WeightsError
from synthralos.config.config import AbuseAction
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job

log = logging.getLogger(__name__)

MEANINGS = {
    "injection": "an attempt to give the model other instructions, or to see those that it has",
    "hidden": "an instruction to the model that is hidden in a longer text",
    "jailbreak": "an attempt to talk the model out of its rules",
    "harm": "a request for something harmful",
    "spam": "spam",
    "noise": "no language: noise or repetition",
}
"""What each head finds, for the one who sent the job."""

_NOISE = HEADS.index("noise")
_LOOKED: dict[int, dict[str, Any]] = {0: {}, SEEN: {"second_look": "seen"}, UNSEEN: {"second_look": "unseen"}}

UNSEEN_SECONDS = 5.0
"""For so long a job waits whose prompt must not go on without a second look that there was no time for."""


class AbuseGuard:
    """Flags, or denies, prompts that reach the threshold of a head. The system's own messages are not looked at."""

    name = "abuse"

    def __init__(
        self,
        action: AbuseAction,
        model: AbuseModel | None = None,
        reader: Reader | None = None,
        second: SecondLooks | None = None,
    ) -> None:
        """`model`: the one that is shipped, where none is given. One that is damaged looks at nothing, and says so.

        `reader` may be shared with the guard of abuse patterns. `second` is asked where the model is not sure.
        """
        self._reader = reader or Reader()
        self._decision = Decision.DENY if action == "deny" else Decision.FLAG
        self._model = model
        self._second = second
        self._broken: str | None = None
        if action != "off" and model is None:
            self._load()

    def _load(self) -> None:
        try:
            self._model = load_model()
        except WeightsError as error:
            self._broken = str(error)
            log.error("no prompt is looked at for abuse: %s", error)

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """One entry per job; see `Guard.inspect`."""
        if self._model is None:
            return [self._unguarded()] * len(jobs)
        return [finding for found in self._reader.of(jobs) for finding in self._inspect(self._model, found)]

    def _inspect(self, model: AbuseModel, found: Read) -> list[Finding | None]:
        scores = np.column_stack(model.score_read(found))
        above = scores - model.thresholds
        looks = np.zeros(len(found.texts)) if self._second is None else self._second.at(found.texts, scores, above)
        return [
            self._said(row, look) if text else None for text, row, look in zip(found.texts, above, looks, strict=True)
        ]

    def _said(self, above: "np.ndarray[tuple[int], np.dtype[np.float64]]", look: int) -> Finding | None:
        if look == UNSEEN and self._second is not None and not self._second.fails_open:
            reason = (
                "there was no time for a second look at this prompt, so the job waits: tell the operator if it lasts"
            )
            return Finding(self.name, Decision.DEFER, reason, defer_seconds=UNSEEN_SECONDS, signals=_LOOKED[look])
        return self._finding(above, look) if above.max() > 0 else None

    def _unguarded(self) -> Finding | None:
        if self._broken is None:
            return None
        return Finding(
            self.name, Decision.FLAG, f"nobody looked at this prompt: {self._broken}", signals={"broken": True}
        )

    def _finding(self, above: "np.ndarray[tuple[int], np.dtype[np.float64]]", look: int) -> Finding:
        """`above`: how far each head, and the score over all, are above their thresholds, in log-odds."""
        scores = 1 / (1 + np.exp(-np.clip(above, -30, 30)))
        signals: dict[str, Any] = {head: round(float(score), 3) for head, score in zip(HEADS, scores, strict=False)}
        # What repeats itself reaches other heads too, by the number of its words alone.
        most = "noise" if above[_NOISE] > 0 else HEADS[int(np.argmax(above[:-1]))]
        reason = f"the prompt looks like {MEANINGS[most]}: rewrite it, or ask the operator about ABUSE_GUARD"
        score = round(float(scores.max()), 3)
        signals |= {"score": score, "kind": most, **_LOOKED[look]}
        return Finding(self.name, self._decision, reason, "messages", signals=signals)
