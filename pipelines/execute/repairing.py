"""Answers that were paid for and cannot be used: the failure that they are, and how the next call says what was wrong.

The answer is kept in memory, with its failure, for the next call of the same attempt's job at the same deployment. It
is never stored, nor shown to anybody else: what a model said may hold anything.
"""

from dataclasses import replace

from synthralos.domain.attempts import Reply
from synthralos.domain.failures import Failure, FailureClass, Rejected
from synthralos.domain.jobs import Request

MOST_QUOTED = 16_000
"""Characters of an answer that are quoted; of a longer one, three quarters of that and the last quarter."""

MOST_TOLD = 2_000
"""Characters of what was wrong with it."""

_GAP = "\n[…]\n"


def misfit_failure(answer: Reply, problem: str) -> Failure:
    """The failure of an attempt whose answer has a problem: it was billed."""
    rejected = Rejected(_quoted(answer.text), problem[:MOST_TOLD]) if answer.text else None
    return Failure(FailureClass.SCHEMA_MISMATCH, f"{problem}; it was billed", usage=answer.usage, rejected=rejected)


def asked_again(request: Request, rejected: Rejected) -> Request:
    """The request with the answer that it got, and with what was wrong about that, as turns at its end."""
    turns = [
        {"role": "assistant", "content": rejected.text},
        {"role": "user", "content": _said(rejected.problem)},
    ]
    return replace(request, body={**request.body, "messages": [*request.messages, *turns]})


def _said(problem: str) -> str:
    return (
        f"This answer cannot be used: {problem}.\n"
        "Answer again. Give the whole answer, in the form that was asked for, without a word about the mistake."
    )


def _quoted(text: str) -> str:
    if len(text) <= MOST_QUOTED:
        return text
    tail = MOST_QUOTED // 4
    return f"{text[: MOST_QUOTED - tail]}{_GAP}{text[-tail:]}"
