"""Answers are shown to the validators of guardrails-ai before a job may have them.

What fails is a `schema_mismatch`: it was paid for, is on the books, and heal asks again. What was only noted is a
finding on the job. An answer that nobody could look at goes on with a finding, or, where it must not, waits here for
the validators a while, because another one would have to be paid for too.
"""

import asyncio
from dataclasses import replace

from pipelines.execute.repairing import misfit_failure
from pipelines.providers.protocol import Call, Cancel, Done, failure_of_bug
from pipelines.validation.protocol import Answer, Side, Validator, Verdict
from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure
from synthralos.domain.findings import Decision, Finding

NAME = "guardrails_output"
"""The guard's name in findings on answers."""

PATIENCE = 15.0
"""Seconds that an answer waits for validators that are away, where it must not go on unseen."""

_PAUSE = 0.5


class Validation:
    """Shows answers to a validator. Lives on the event loop."""

    def __init__(self, validator: Validator, patience: float = PATIENCE) -> None:
        self._validator = validator
        self._patience = patience

    def begin(self, call: Call, reply: Reply, done: Done) -> Cancel:
        """Begin to look; `done` is called once with what the answer is worth, if it was not cancelled in time."""
        task = asyncio.get_running_loop().create_task(self._judged(call, reply))
        task.add_done_callback(lambda ended: None if ended.cancelled() else done(ended.result()))

        def cancel() -> None:
            task.cancel()

        return cancel

    async def _judged(self, call: Call, reply: Reply) -> Reply | Failure:
        try:
            return _worth(reply, await self._look(call, reply.text or ""), fails_open=self._validator.fails_open)
        except Exception as error:  # noqa: BLE001 - the caller of `done` must hear of an end; it is logged
            return replace(failure_of_bug(call, error), usage=reply.usage)

    async def _look(self, call: Call, text: str) -> Answer:
        loop = asyncio.get_running_loop()
        ends = loop.time() + min(self._patience, call.timeout)
        while True:
            [answer] = await self._validator.ask(Side.OUTPUT, [text])
            waits = answer.verdict is Verdict.UNSEEN and answer.passing and not self._validator.fails_open
            if not waits or loop.time() + _PAUSE > ends:
                return answer
            await asyncio.sleep(_PAUSE)


def _worth(reply: Reply, answer: Answer, *, fails_open: bool) -> Reply | Failure:
    """The answer that the job gets, with a finding where there is something to say, or the failure of its attempt."""
    if answer.verdict is Verdict.PASSED:
        return reply
    if answer.verdict is Verdict.REFUSED:
        return misfit_failure(reply, f"guardrails-ai refuses the answer: {answer.why}")
    if answer.verdict is Verdict.UNSEEN and not fails_open:
        unseen = f"guardrails-ai could not look at the answer, which must not go on unseen: {answer.why}"
        return replace(misfit_failure(reply, unseen), rejected=None)  # nobody said that it is wrong
    text = answer.text if answer.verdict is Verdict.FIXED else reply.text
    return replace(reply, text=text, finding=_finding(answer))


def _finding(answer: Answer) -> Finding:
    if answer.verdict is Verdict.UNSEEN:
        reason = f"guardrails-ai did not look at the answer, and it goes on: {answer.why}: tell the operator"
        return Finding(NAME, Decision.FLAG, reason, signals={"unseen": True, "why": answer.why})
    done = "changed" if answer.verdict is Verdict.FIXED else "flags"
    reason = f"guardrails-ai {done} the answer: {answer.why}: the operator knows the rules (GUARDRAILS_CONFIG)"
    return Finding(NAME, Decision.FLAG, reason, signals={"reasons": list(answer.reasons)})
