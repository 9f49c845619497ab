"""The private-data guard: what it says, what it lets pass, and that it fails closed."""

from typing import Any

import orjson
import pytest

from pipelines.guard import private_data
from pipelines.guard.private_data import PrivateDataGuard, kinds_to_redact
from pipelines.guard.stage import GuardStage
from pipelines.privacy.kinds import Kind
from synthralos.config.config import PrivateDataAction
from synthralos.domain.findings import PASSED, Decision, Finding, Verdict, verdict_of
from synthralos.domain.jobs import Constraints, Job, PrivateData
from tests.fakes.stage_jobs import a_job

EMAIL = "jo@example.com"
KEY = "sk-proj-abcdefghijklmnop1234567890"


def found(job: Job, secrets: PrivateDataAction = "flag", personal: PrivateDataAction = "flag") -> Finding | None:
    [finding] = PrivateDataGuard(secrets, personal).inspect([job])
    return finding


def told(job: Job, secrets: PrivateDataAction = "flag", personal: PrivateDataAction = "flag") -> Finding:
    finding = found(job, secrets, personal)
    assert finding is not None
    assert EMAIL not in str(orjson.dumps(finding.to_json()))
    assert KEY not in str(orjson.dumps(finding.to_json()))
    return finding


def test_it_says_what_and_where_and_never_the_value() -> None:
    finding = told(a_job(f"Write to {EMAIL} and ann@example.org with {KEY}"))
    assert (finding.decision, finding.field) == (Decision.FLAG, "messages[0]")
    assert "2 e-mail addresses" in finding.reason
    assert "an API key or token" in finding.reason
    assert finding.signals == {"kinds": {"email": 2, "api_key": 1}, "fields": ["messages[0]"], "redacted": []}


def test_secrets_and_personal_data_are_treated_by_settings_of_their_own() -> None:
    job = a_job(f"{EMAIL} {KEY}")
    assert told(job, "redact", "off").signals["redacted"] == ["api_key"]
    assert told(job, "off", "redact").signals["redacted"] == ["email"]
    assert told(job, "refuse", "redact").decision is Decision.DENY
    assert found(job, "off", "off") is None
    assert found(a_job(EMAIL), "refuse", "off") is None


@pytest.mark.parametrize(
    ("setting", "demanded", "decision", "redacted"),
    [
        ("flag", None, Decision.FLAG, []),
        ("flag", "redact", Decision.FLAG, ["email"]),
        ("off", "redact", Decision.FLAG, ["email"]),
        ("redact", "flag", Decision.FLAG, ["email"]),
        ("refuse", "flag", Decision.DENY, []),
        ("flag", "refuse", Decision.DENY, []),
    ],
)
def test_the_stricter_of_setting_and_job_counts(
    setting: PrivateDataAction, demanded: PrivateData | None, decision: Decision, redacted: list[str]
) -> None:
    finding = told(a_job(EMAIL, constraints=Constraints(private_data=demanded)), "off", setting)
    assert (finding.decision, finding.signals["redacted"]) == (decision, redacted)


STUCK: list[tuple[dict[str, Any], str]] = [
    ({"messages": [{"role": "user", "content": "x", "name": EMAIL}]}, "messages[0]"),
    ({"messages": [], "stop": [EMAIL]}, "stop[0]"),
    ({"messages": [{"role": "assistant", "thinking": [{"thinking": EMAIL, "signature": "x"}]}]}, "messages[0]"),
    ({"messages": [], "tools": [{"function": {"parameters": {"properties": {EMAIL: {}}}}}]}, "tools[0]"),
    ({"messages": [], "tools": [{"function": {"parameters": {"enum": [EMAIL]}}}]}, "tools[0]"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"https://x/{KEY}"}}]}]},
        "messages[0]",
    ),
]


@pytest.mark.parametrize(("body", "field"), STUCK)
def test_what_stands_where_nothing_can_be_replaced_is_refused(body: dict[str, Any], field: str) -> None:
    finding = told(a_job(body=body), "redact", "redact")
    assert (finding.decision, finding.field) == (Decision.DENY, field)
    assert "remove it there" in finding.reason
    assert told(a_job(body=body)).decision is Decision.FLAG


def test_images_within_the_request_are_not_read_as_text() -> None:
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{KEY}"}}]
    assert found(a_job(body={"messages": [{"role": "user", "content": content}]}), "refuse", "refuse") is None


@pytest.mark.parametrize(("action", "decision"), [("redact", Decision.DENY), ("refuse", Decision.DENY)])
def test_it_fails_closed_where_values_must_not_leave(
    monkeypatch: pytest.MonkeyPatch, action: PrivateDataAction, decision: Decision
) -> None:
    monkeypatch.setattr(private_data, "find_each", broken)
    assert told(a_job(EMAIL), "off", action).decision is decision
    [verdict] = GuardStage([PrivateDataGuard("flag", "flag")]).inspect([a_job(EMAIL)])
    assert verdict.decision is Decision.FLAG
    assert "did not look at this job" in verdict.reason


def broken(texts: list[str]) -> None:
    raise RuntimeError(texts)


def test_what_is_redacted_is_read_from_the_stored_verdict() -> None:
    stored = orjson.dumps(verdict_of([told(a_job(f"{EMAIL} {KEY}"), "redact", "redact")]).to_json())
    assert kinds_to_redact(Verdict.from_json(orjson.loads(stored))) == {Kind.EMAIL, Kind.API_KEY}
    assert kinds_to_redact(None) == kinds_to_redact(PASSED) == frozenset()
