"""The guardrails guard: shows prompts to the validators of guardrails-ai, which run in another process."""

from collections.abc import Sequence

from pipelines.validation.protocol import Answer, Side, Validator, Verdict
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.jobs import Job

UNSEEN_SECONDS = 5.0
"""For so long a job waits that must not go on unseen, before guardrails-ai is asked again."""

_OURS = ("system", "developer")
_ASK = "change it, or ask the operator about GUARDRAILS_CONFIG"


class GuardrailsGuard:
    """See `RemoteGuard`. The system's own messages are not looked at."""

    name = "guardrails"

    def __init__(self, flags: Flags, validator: Validator) -> None:
        self._flags = flags
        self._validator = validator

    @property
    def seconds(self) -> float:
        """See `RemoteGuard.seconds`."""
        return self._validator.seconds

    def wants(self, job: Job) -> bool:
        """See `RemoteGuard.wants`."""
        return self._flags.on(Flag.ENABLE_GUARDRAILS_AI, job.tenant.organization)

    async def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """See `RemoteGuard.inspect`. A prompt without any text is not shown."""
        texts = ["\n".join(job.request.texts(without=_OURS)) for job in jobs]
        answers = iter(await self._validator.ask(Side.INPUT, [text for text in texts if text]))
        return [self._finding(next(answers)) if text else None for text in texts]

    def unseen(self, why: str) -> Finding:
        """See `RemoteGuard.unseen`."""
        return self._unseen(why, passing=True)

    def _finding(self, answer: Answer) -> Finding | None:
        if answer.verdict is Verdict.PASSED:
            return None
        if answer.verdict is Verdict.UNSEEN:
            return self._unseen(answer.why, passing=answer.passing)
        signals = {"reasons": list(answer.reasons)}
        if answer.verdict is Verdict.REFUSED:
            reason = f"guardrails-ai refuses the prompt: {answer.why}: {_ASK}"
            return Finding(self.name, Decision.DENY, reason, "messages", signals=signals)
        reason = f"guardrails-ai flags the prompt: {answer.why}: {_ASK}"
        return Finding(self.name, Decision.FLAG, reason, "messages", signals=signals)

    def _unseen(self, why: str, *, passing: bool) -> Finding:
        signals = {"unseen": True, "why": why}
        if self._validator.fails_open:
            reason = f"guardrails-ai did not look at this prompt, and it goes on: {why}: tell the operator"
            return Finding(self.name, Decision.FLAG, reason, signals=signals)
        if passing:
            reason = (
                f"guardrails-ai cannot look at this prompt now, so the job waits: {why}: tell the operator if it lasts"
            )
            return Finding(self.name, Decision.DEFER, reason, defer_seconds=UNSEEN_SECONDS, signals=signals)
        reason = f"guardrails-ai cannot look at this prompt, which must not go on unseen: {why}: tell the operator"
        return Finding(self.name, Decision.DENY, reason, signals=signals)
