"""A validator that says what a test wants it to."""

from collections.abc import Sequence

from pipelines.validation.protocol import Answer, Side, Verdict

UNSEEN = Answer(Verdict.UNSEEN, ("nobody is there",), passing=True)
UNSEEN_FOR_GOOD = Answer(Verdict.UNSEEN, ("too large",), passing=False)
REFUSED = Answer(Verdict.REFUSED, ("is rude", "is long"))
FLAGGED = Answer(Verdict.FLAGGED, ("is odd",))
FIXED = Answer(Verdict.FIXED, ("was rude",), "better")
PASSED = Answer(Verdict.PASSED)


class SaysInTurn:
    """Gives these answers, one per question, and the last one for ever; it keeps what it was shown."""

    seconds = 2.0

    def __init__(self, *answers: Answer | Exception, fails_open: bool = True) -> None:
        self.fails_open = fails_open
        self.asked: list[tuple[Side, list[str]]] = []
        self._answers = list(answers)

    async def ask(self, side: Side, texts: Sequence[str]) -> list[Answer]:
        """See `Validator.ask`."""
        self.asked.append((side, list(texts)))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [answer] * len(texts)

    async def close(self) -> None:
        """See `Validator.close`."""
