"""The contracts that are committed are those of this code, and what is written keeps to them."""

import re
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from scripts.contracts import FOLDER, contracts, text_of
from synthralos.domain.events import (
    EVENTS,
    BudgetAlert,
    Buried,
    Cancelled,
    Event,
    FailureFields,
    Healed,
    Isolated,
    Lost,
    Payload,
    RepairAsked,
    RepairEnded,
    Rerouted,
    Retried,
    SchedulePaused,
    Thought,
    WaitAnswered,
    WaitOpened,
)
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.happenings import (
    HAPPENINGS,
    BreakerClosed,
    BreakerOpened,
    DeliverySetAside,
    ErasureDone,
    ExportDropped,
    ExportResumed,
    ExportStopped,
    Happening,
    IncidentClosed,
    IncidentEscalated,
    IncidentOpened,
    IncidentRepairAsked,
    IncidentRepairEnded,
    Told,
    WebhookDisabled,
)
from synthralos.domain.incidents import IncidentKind, Severity
from synthralos.domain.repairs import RepairKind, RepairState
from synthralos.domain.states import State
from synthralos.domain.waits import WaitKind, WaitState

FAILURE = FailureFields(**Failure(FailureClass.RATE_LIMITED, "slow down", 1.5, 429, "rate_limit").to_json())
EXAMPLES: list[Payload] = [
    Healed(remedy="backoff", treatment="Wait", reason="it asked for 1.5 s", failure=FAILURE),
    Cancelled(reason="", before=State.ACTIVE),
    Retried(reason="again", before=State.FAILED, failure=FAILURE),
    Retried(reason="again", before=State.CANCELLED, failure=None),
    Rerouted(reason="", before=State.PARKED, changes={"region": "eu"}),
    SchedulePaused(schedule_id="0198", failures=3),
    Lost(losses=1),
    Isolated(losses=2),
    Buried(losses=3),
    WaitOpened(
        wait_id="0198", wait_kind=WaitKind.APPROVAL, name="legal", prompt="may it go?",
        deadline=datetime(2026, 1, 31, tzinfo=UTC),
    ),
    WaitAnswered(
        wait_id="0198", wait_kind=WaitKind.SIGNAL, name="paid", state=WaitState.ANSWERED,
        answer={"payload": {"invoice": 7}}, comment="",
    ),
    WaitAnswered(wait_id="0198", wait_kind=WaitKind.SIGNAL, name="paid", state=WaitState.TIMED_OUT, answer=None),
    Thought(text="two sources disagree"),
    BudgetAlert(budget="small", budget_id="b", subject="acme", percent=80, limit_usd="10", spent_usd="8.1"),
    RepairAsked(
        repair_id="0198", repair_kind=RepairKind.REROUTE, workflow="synthralos.reroute_request",
        state=RepairState.ASKED, reason="overloaded at openai/gpt@us", until=datetime(2026, 1, 31, tzinfo=UTC),
    ),
    RepairEnded(
        repair_id="0198", repair_kind=RepairKind.REROUTE, state=RepairState.FELL_BACK, outcome="the execution failed",
        execution_id="65a1",
    ),
]  # fmt: skip

TOLD: list[Told] = [
    BreakerOpened(name="openai/gpt@us", before="closed", reason="9 of 10 calls failed"),
    IncidentOpened(
        incident_kind=IncidentKind.LATENCY,
        about="deployment:a/b@us",
        severity=Severity.WARNING,
        forecast=False,
        reason="slow",
        evidence={"measured": 3.0},
    ),
    IncidentClosed(
        incident_kind=IncidentKind.QUEUE_AGE, about="queue:guard/bulk", forecast=False, seconds=61.5, reason="as usual"
    ),
    IncidentEscalated(
        incident_kind=IncidentKind.ERROR_RATE,
        about="organization:acme",
        severity=Severity.CRITICAL,
        forecast=False,
        reason="there is no repair for it",
    ),
    IncidentRepairAsked(
        about="deployment:a/b@us",
        workflow="synthralos.incident_repair",
        act="pause_deployment",
        state=RepairState.ASKED,
        reason="half of the calls fail",
    ),
    IncidentRepairEnded(state=RepairState.SUCCEEDED, outcome="the execution succeeded", execution_id="65a1"),
    BreakerClosed(name="openai/gpt@us", reason="4 probes passed"),
    ExportStopped(destination="langfuse", reason="HTTP 401"),
    ExportResumed(destination="langfuse"),
    ExportDropped(destination="otlp", traces=12, reason="owed for more than 7 days"),
    DeliverySetAside(channel="webhook", target_id="0199", count=3, reason="it answered 500"),
    WebhookDisabled(url="https://example.com/hooks", reason="it answered 410"),
    ErasureDone(of="person", workspace=None, user="erased-0123456789abcdef"),
]


@pytest.fixture(scope="module")
def current() -> dict[str, dict[str, Any]]:
    return contracts()


def test_what_is_committed_is_current(current: dict[str, dict[str, Any]]) -> None:
    committed = {str(p.relative_to(FOLDER)): p.read_text(encoding="utf-8") for p in FOLDER.rglob("*.json")}
    stale = [path for path, document in current.items() if committed.get(path) != text_of(document)]
    assert not stale, f"run `make contracts`: {stale}"
    assert set(committed) == set(current)


def test_what_the_document_refers_to_is_in_it(current: dict[str, dict[str, Any]]) -> None:
    document = current["openapi.json"]
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', text_of(document)))
    assert referred <= set(document["components"]["schemas"])


def test_every_kind_of_event_has_an_example_here() -> None:
    assert {type(example).kind for example in EXAMPLES} == set(EVENTS)


@pytest.mark.parametrize("payload", EXAMPLES, ids=lambda payload: payload.kind)
def test_what_an_event_says_fits_its_schema(payload: Payload, current: dict[str, dict[str, Any]]) -> None:
    event = Event.of(payload, "somebody")
    schema = current[f"events/{event.kind}.schema.json"]
    assert jsonschema_rs.is_valid(schema, event.data)
    assert type(payload).model_validate(event.data) == payload
    assert not jsonschema_rs.is_valid(schema, {**event.data, "more": 1})


def test_every_kind_of_happening_has_an_example_here() -> None:
    assert {type(example).kind for example in TOLD} == set(HAPPENINGS)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told.kind)
def test_what_a_happening_says_fits_its_schema(told: Told, current: dict[str, dict[str, Any]]) -> None:
    happening = Happening.of(told, "subject", "somebody")
    schema = current[f"happenings/{happening.kind}.schema.json"]
    assert jsonschema_rs.is_valid(schema, happening.data)
    assert type(told).model_validate(happening.data) == told
    assert not jsonschema_rs.is_valid(schema, {**happening.data, "more": 1})
