"""Evidence on the command line, and who is who in it."""

from typing import Any

import pytest
from rich.console import Console

from cli.evidence import evidence_parts
from cli.tables import Listing
from pipelines.analyze.evidence import evidence_view, who
from synthralos.domain.evidence import Declared, EvidenceRows, Grounds, broken, said_in
from synthralos.domain.findings import Decision, Finding, Verdict
from synthralos.domain.overlays import Overlay

CALL: dict[str, Any] = {
    "attempt_no": 1, "deployment": "fake/a@us", "provider": "fake", "model": "a", "region": "us",
    "outcome": "succeeded", "billed": "yes", "late": False, "provider_request_id": None, "started_at": None,
    "ended_at": None, "residency": "us", "zero_retention": False,
}  # fmt: skip


def job(classification: str | None) -> dict[str, Any]:
    return {
        "id": "1",
        "state": "succeeded",
        "constraints": {"classification": classification},
        "plan": None,
        "verdict": None,
    }


def shown(found: dict[str, Any]) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        for part in evidence_parts(found):
            console.print(part.text(None) if isinstance(part, Listing) else part)
    return capture.get()


def grounds(**more: Any) -> dict[str, Any]:
    return Grounds("key", 1, **more).to_json()


def test_data_that_was_classified_later_is_not_called_kept_at_home() -> None:
    """The call kept to what was demanded of it, and yet the data went elsewhere than where it belongs now."""
    event = {
        "kind": "reroute",
        "actor": "ann",
        "at": None,
        "data": {"attempts": 1, "changes": {"classification": "eu"}},
    }
    rows = EvidenceRows({}, [{**CALL, "grounds": grounds()}], [event], {})
    found = evidence_view(job("eu"), rows)
    assert found["calls"][0]["kept"] is True
    assert (found["conclusion"]["holds"], found["conclusion"]["broken"]) == (False, [1])
    assert found["classification"]["source"] == "operator"
    assert "call 1 of 1 did not keep to EU deployments" in shown(found)


def test_a_stray_call_is_shown_with_what_it_broke() -> None:
    found = evidence_view(
        job("eu"), EvidenceRows({"classification": "eu"}, [{**CALL, "grounds": grounds(classification="eu")}], [], {})
    )
    assert "may only go where residency is eu" in shown(found)


@pytest.mark.parametrize(
    ("demanded", "count"),
    [
        ({}, 0),
        ({"classification": "none"}, 0),
        ({"classification": "secret"}, 1),
        ({"classification": "eu", "zero_retention": True, "region": "eu"}, 3),
        ({"demands": Overlay(regions=frozenset({"eu"}))}, 1),
        ({"demands": Overlay(regions=frozenset({"us"}))}, 0),
    ],
)
def test_every_demand_that_is_not_kept_to_is_named(demanded: dict[str, Any], count: int) -> None:
    assert len(broken(grounds(**demanded), Declared("us", "us", False))) == count


@pytest.mark.parametrize(
    ("actor", "kind"),
    [
        ("heal", "heal"),
        ("sweeper", "system"),
        ("cli:ann", "operator"),
        ("key:sk-syn-Ab3dEf12", "operator"),
        ("key:stackstorm", "operator"),
        ("stackstorm", "stackstorm"),
        ("stackstorm/key:sk-syn-Ab3dEf12", "stackstorm"),
    ],
)
def test_who_acted(actor: str, kind: str) -> None:
    assert who(actor) == kind


def test_rules_are_told_from_guards() -> None:
    signals = {"set": "1", "name": "ours", "version": 2, "rule": "r", "actions": []}
    findings = (
        Finding("abuse", Decision.FLAG, "odd"),
        Finding("policies", Decision.FLAG, "r", signals=signals),
        Finding("policies", Decision.ALLOW, "r", signals={**signals, "shadow": "deny"}),
    )
    said = said_in(Verdict(Decision.FLAG, findings))
    assert [(s.rule, s.decision, s.shadow) for s in said] == [
        (None, Decision.FLAG, False), ("r", Decision.FLAG, False), ("r", Decision.DENY, True)
    ]  # fmt: skip
