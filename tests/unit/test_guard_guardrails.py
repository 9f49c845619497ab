"""What the guardrails guard makes of what validators say of prompts."""

import asyncio
from typing import Any

import orjson
import pytest

from pipelines.guard.guardrails import UNSEEN_SECONDS, GuardrailsGuard
from pipelines.validation.protocol import Answer, Side
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.jobs import Job
from tests.fakes.stage_jobs import a_job
from tests.fakes.validators import FLAGGED, PASSED, REFUSED, UNSEEN, UNSEEN_FOR_GOOD, SaysInTurn


def found(answer: Answer, *jobs: Job, fails_open: bool = True) -> list[Finding | None]:
    guard = GuardrailsGuard(Flags(), SaysInTurn(answer, fails_open=fails_open))
    return asyncio.run(guard.inspect(jobs or [a_job()]))


@pytest.mark.parametrize(
    ("answer", "opened", "closed"),
    [
        (PASSED, None, None),
        (FLAGGED, Decision.FLAG, Decision.FLAG),
        (REFUSED, Decision.DENY, Decision.DENY),
        (UNSEEN, Decision.FLAG, Decision.DEFER),
        (UNSEEN_FOR_GOOD, Decision.FLAG, Decision.DENY),
    ],
)
def test_what_an_answer_decides(answer: Answer, opened: Decision | None, closed: Decision | None) -> None:
    for fails_open, decision in ((True, opened), (False, closed)):
        [finding] = found(answer, fails_open=fails_open)
        assert (None if finding is None else finding.decision) is decision
        if finding is not None:
            assert all(reason in finding.reason for reason in answer.reasons)
            assert (finding.defer_seconds == UNSEEN_SECONDS) is (decision is Decision.DEFER)
            assert orjson.loads(orjson.dumps(finding.to_json())) == finding.to_json()
            assert finding.signals.get("unseen", False) is (answer in (UNSEEN, UNSEEN_FOR_GOOD))


def test_what_could_not_be_asked_at_all_follows_the_same_rule() -> None:
    decided = [
        GuardrailsGuard(Flags(), SaysInTurn(PASSED, fails_open=o)).unseen("late").decision for o in (True, False)
    ]
    assert decided == [Decision.FLAG, Decision.DEFER]


def test_prompts_are_shown_without_the_systems_own_messages() -> None:
    validator = SaysInTurn(REFUSED)
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be nice."},
        {"role": "user", "content": "Hello"},
        {"role": "tool", "content": "42", "tool_call_id": "c"},
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}]},
    ]
    silent = a_job(body={"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]})
    jobs = [silent, a_job(body={"messages": messages}), silent, a_job("Bye")]
    findings = asyncio.run(GuardrailsGuard(Flags(), validator).inspect(jobs))
    assert validator.asked == [(Side.INPUT, ["Hello\n42\nWhat is it?", "Bye"])]
    assert [finding is None for finding in findings] == [True, False, True, False]


def test_it_wants_the_jobs_of_organizations_that_have_the_flag() -> None:
    job = a_job()
    for percentage, enabled, wanted in ((100, True, True), (100, False, False), (0, True, False)):
        flags = Flags({Flag.ENABLE_GUARDRAILS_AI: FlagState(enabled, percentage)})
        assert GuardrailsGuard(flags, SaysInTurn(PASSED)).wants(job) is wanted
