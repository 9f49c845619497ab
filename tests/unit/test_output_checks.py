"""Policies demand a length of answers, and what is in them; what does not pass is a failure that was billed."""

import asyncio
from typing import Any

import pytest

from pipelines.execute.stage import ExecuteStage, attempt_end
from pipelines.flow.output_checks import check_of
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.problems import InvalidPolicy
from pipelines.policies.rules import read_document
from pipelines.providers.protocol import Call, Cancel, Done, answer_to, end_soon
from synthralos.domain.attempts import Billed, Reply
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.findings import Decision
from synthralos.domain.money import Usage
from synthralos.domain.output_checks import OutputCheck
from synthralos.domain.overlays import Overlay
from synthralos.domain.policies import PolicySet, Ruling
from tests.fakes import calls
from tests.fakes.stage_jobs import NOON

ANY = {"organization": "acme", "workspace": "main"}


def decide(*then: dict[str, Any]) -> Ruling:
    rules = [{"id": f"rule-{number}", "then": [each]} for number, each in enumerate(then)]
    found = PolicySet.from_json({"id": "set", "name": "ours", "version": 1, "rules": rules})
    return CompiledPolicies([found]).decide(Facts(NOON, values=ANY))


def checks(**members: Any) -> dict[str, Any]:
    return {"action": "check_output", **members}


def problem(text: str, **members: Any) -> str | None:
    return check_of(decide(checks(**members)).overlay.output_checks)(text)


@pytest.mark.parametrize(
    ("members", "passes", "fails"),
    [
        ({"min_characters": 3}, "abc", "ab"),
        ({"max_characters": 3}, "äöü", "äöüß"),
        ({"must_match": "^[A-Z]"}, "Bern", "bern"),
        ({"must_not_match": "(?i)as an ai"}, "Bern", "As an AI I cannot"),
        ({"min_characters": 2, "must_match": "r", "must_not_match": "x"}, "Bern", "Bex"),
    ],
)
def test_an_answer_passes_or_its_problem_is_told(members: dict[str, Any], passes: str, fails: str) -> None:
    assert problem(passes, **members) is None
    assert problem(fails, **members)


def test_the_reason_of_the_rule_is_told_where_it_has_one() -> None:
    assert "say it shorter" in str(problem("too long", max_characters=3, reason="say it shorter"))


def test_checks_of_all_rules_hold_and_travel_with_the_job() -> None:
    overlay = decide(checks(min_characters=2), checks(max_characters=4), checks(min_characters=2)).overlay
    assert overlay.output_checks == (OutputCheck(min_characters=2), OutputCheck(max_characters=4))
    assert Overlay.from_json(overlay.to_json()) == overlay
    check = check_of(overlay.output_checks)
    assert [bool(check(text)) for text in ("a", "abc", "abcde")] == [True, False, True]


def test_checks_that_no_answer_can_pass_deny() -> None:
    ruling = decide(checks(min_characters=10), checks(max_characters=4))
    assert ruling.decision is Decision.DENY
    assert "rule-1" in ruling.reason


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({}, "min_characters"),
        ({"reason": "because"}, "min_characters"),
        ({"min_characters": 0}, "min_characters"),
        ({"max_characters": "9"}, "max_characters"),
        ({"min_characters": 9, "max_characters": 3}, "max_characters"),
        ({"must_match": "(?=a)"}, "must_match"),
        ({"must_not_match": "((a{99}){99}){99}"}, "must_not_match"),
        ({"must_match": ""}, "must_match"),
        ({"min_characters": 1, "reason": 7}, "reason"),
        ({"min_characters": 1, "words": 7}, "words"),
    ],
)
def test_a_mistake_is_told_by_its_path(members: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        read_document({"name": "x", "rules": [{"id": "a", "then": [checks(**members)]}]})
    assert [problem.path for problem in caught.value.problems] == [f"rules[0].then[0].{path}"]
    assert all(problem.remedy for problem in caught.value.problems)


class Answering:
    """Answers so."""

    def __init__(self, answer: Reply | Failure) -> None:
        self.answer = answer

    def begin(self, call: Call, done: Done) -> Cancel:
        return end_soon(self.answer, done)

    async def close(self) -> None: ...


def answered(reply: Reply, **members: Any) -> Reply | Failure:
    call = calls.call(calls.deployment("answering"))
    call.check = check_of((OutputCheck(**members),))
    stage = ExecuteStage({"answering": Answering(reply)})
    return asyncio.run(answer_to(call, stage.begin))


def test_an_answer_that_does_not_pass_is_a_failure_that_was_billed_and_can_be_repaired() -> None:
    answer = answered(Reply("As an AI", Usage(10, 5)), must_not_match="AI")
    assert isinstance(answer, Failure)
    assert answer.failure_class is FailureClass.SCHEMA_MISMATCH
    end = attempt_end(1, calls.deployment(), answer, 0.1)
    assert (end.billed, end.usage) == (Billed.YES, Usage(10, 5))
    assert answer.rejected is not None
    assert answer.rejected.text == "As an AI"


def test_an_answer_that_passes_and_one_that_calls_tools_are_answers() -> None:
    tool = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    for reply in (Reply("Bern", Usage(1, 1)), Reply(None, Usage(1, 1), tool_calls=[tool])):
        assert answered(reply, min_characters=3) is reply


def test_an_empty_answer_does_not_pass_and_there_is_nothing_to_quote() -> None:
    answer = answered(Reply(None, Usage(1, 0)), min_characters=1)
    assert isinstance(answer, Failure)
    assert answer.rejected is None
