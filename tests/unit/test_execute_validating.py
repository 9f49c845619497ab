"""What becomes of answers that are shown to validators, and what is on the books for those that fail."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipelines.execute.stage import ExecuteStage, attempt_end
from pipelines.execute.validating import NAME, Validation
from pipelines.providers.protocol import Call, Cancel, Done, end_soon
from pipelines.validation.protocol import Side
from synthralos.domain.attempts import Billed, Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision
from synthralos.domain.money import Price, Usage
from tests.fakes import calls
from tests.fakes.validators import FIXED, FLAGGED, PASSED, REFUSED, UNSEEN, UNSEEN_FOR_GOOD, SaysInTurn

PRICED = calls.deployment("answering", price=Price(Decimal(1), Decimal(2)))
SAID = Reply("hello", Usage(100, 10))
TOOL_CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
OBJECT = {"response_format": {"type": "json_object"}}


class Answering:
    """Answers what it was made with."""

    def __init__(self, answer: Reply | Failure) -> None:
        self.answer = answer

    def begin(self, call: Call, done: Done) -> Cancel:
        return end_soon(self.answer, done)

    async def close(self) -> None: ...


def end_of(
    validator: SaysInTurn, answer: Reply | Failure = SAID, *, validated: bool = True, patience: float = 0.0, **body: Any
) -> Reply | Failure:
    stage = ExecuteStage({"answering": Answering(answer)}, Validation(validator, patience))
    call = replace(calls.call(PRICED, calls.request(**body)), validated=validated)
    return asyncio.run(stage.call(call))


def test_an_answer_that_passes_is_as_it_was() -> None:
    validator = SaysInTurn(PASSED)
    assert end_of(validator) == SAID
    assert validator.asked == [(Side.OUTPUT, ["hello"])]


@pytest.mark.parametrize("usage", [Usage(100, 10), None])
def test_one_that_is_refused_is_a_mismatch_that_was_billed(usage: Usage | None) -> None:
    failure = end_of(SaysInTurn(REFUSED), Reply("hello", usage))
    assert isinstance(failure, Failure)
    assert (failure.failure_class, failure.usage) == (FailureClass.SCHEMA_MISMATCH, usage)
    assert all(reason in failure.message for reason in REFUSED.reasons)
    end = attempt_end(1, PRICED, failure, 0.1)
    assert end.billed is Billed.YES
    assert end.cost == (None if usage is None else Decimal("0.00012"))


def test_a_fixed_one_takes_its_place_and_is_told() -> None:
    fixed = end_of(SaysInTurn(FIXED))
    assert isinstance(fixed, Reply)
    assert fixed.finding is not None
    assert (fixed.text, fixed.usage) == ("better", SAID.usage)
    assert (fixed.finding.guard, fixed.finding.decision) == (NAME, Decision.FLAG)
    assert "was rude" in fixed.finding.reason


def test_a_flagged_one_goes_on_with_a_finding() -> None:
    flagged = end_of(SaysInTurn(FLAGGED))
    assert isinstance(flagged, Reply)
    assert flagged.finding is not None
    assert (flagged.text, flagged.finding.signals) == ("hello", {"reasons": ["is odd"]})


@pytest.mark.parametrize("unseen", [UNSEEN, UNSEEN_FOR_GOOD])
def test_one_that_nobody_saw_goes_on_with_a_finding_or_not_at_all(unseen: Any) -> None:
    opened = end_of(SaysInTurn(unseen))
    assert isinstance(opened, Reply)
    assert opened.finding is not None
    assert opened.finding.signals["unseen"] is True
    closed = end_of(SaysInTurn(unseen, fails_open=False))
    assert isinstance(closed, Failure)
    assert (closed.failure_class, closed.usage) == (FailureClass.SCHEMA_MISMATCH, SAID.usage)


def test_a_paid_answer_waits_for_validators_that_are_away_where_it_must_not_go_on_unseen() -> None:
    validator = SaysInTurn(UNSEEN, PASSED, fails_open=False)
    assert end_of(validator, patience=30.0) == SAID
    assert len(validator.asked) == 2


def test_it_does_not_wait_for_what_will_not_change() -> None:
    validator = SaysInTurn(UNSEEN_FOR_GOOD, fails_open=False)
    assert isinstance(end_of(validator, patience=30.0), Failure)
    assert len(validator.asked) == 1


def test_a_bug_ends_the_call_and_loses_no_usage() -> None:
    failure = end_of(SaysInTurn(ZeroDivisionError()))
    assert isinstance(failure, Failure)
    assert failure.usage == SAID.usage


@pytest.mark.parametrize(
    "answer", [Reply(None, None, tool_calls=[TOOL_CALL]), Failure(FailureClass.OVERLOADED, "busy")]
)
def test_failures_and_answers_that_only_call_tools_are_not_shown(answer: Reply | Failure) -> None:
    validator = SaysInTurn(REFUSED)
    assert end_of(validator, answer) == answer
    assert validator.asked == []


def test_nothing_is_shown_where_the_call_does_not_ask_for_it() -> None:
    validator = SaysInTurn(REFUSED)
    assert end_of(validator, validated=False) == SAID
    assert validator.asked == []


def test_the_form_that_was_asked_for_is_looked_at_first() -> None:
    validator = SaysInTurn(PASSED)
    failure = end_of(validator, **OBJECT)
    assert isinstance(failure, Failure)
    assert validator.asked == []
    assert end_of(validator, Reply("{}", None), **OBJECT) == Reply("{}", None)
    assert validator.asked == [(Side.OUTPUT, ["{}"])]


class Never(SaysInTurn):
    """Does not answer; says that it was asked."""

    def __init__(self) -> None:
        super().__init__(PASSED)
        self.begun = asyncio.Event()

    async def ask(self, side: Side, texts: Any) -> Any:
        self.begun.set()
        await asyncio.Event().wait()


def test_cancelling_ends_the_look_too_and_nobody_is_told() -> None:
    async def cancelled() -> list[Any]:
        told: list[Any] = []
        validator = Never()
        stage = ExecuteStage({"answering": Answering(SAID)}, Validation(validator))
        cancel = stage.begin(replace(calls.call(PRICED), validated=True), told.append)
        await validator.begun.wait()
        cancel()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*left, return_exceptions=True)
        return told

    assert asyncio.run(cancelled()) == []
