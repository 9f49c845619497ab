"""What StackStorm is told: payloads that its triggers take, under the same tag each time, and what became of each."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from scheduler.stackstorm.link import StackStormLink
from scheduler.stackstorm.triggers import StackStormTriggers
from synthralos.config.config import Config, RepairTerms
from synthralos.domain.delivering import Delivered, Refused, Sending, Target, TryAgain
from synthralos.domain.deployments import Catalog
from synthralos.domain.events import BudgetAlert, Event, FailureFields, Healed, WaitOpened
from synthralos.domain.failures import FailureClass
from synthralos.domain.feed import Item
from synthralos.domain.flags import Flag, Flags, FlagState
from synthralos.domain.happenings import BreakerOpened, IncidentClosed, IncidentOpened, Told
from synthralos.domain.ids import new_id
from synthralos.domain.incidents import IncidentKind, Severity
from synthralos.domain.triggers import NAMES, USUAL, telling
from synthralos.domain.waits import WaitKind
from tests.fakes.scripted_server import Answer
from tests.fakes.stackstorm_link import KEY, FakeStackStorm, stackstorm
from tests.fakes.stage_jobs import NOON
from tests.fakes.stages import a_config

CANARY = "a prompt, perhaps"


def an_item(type_: str, data: Mapping[str, Any], **more: Any) -> Item:
    """Of a job, where nothing else is said."""
    told = {"organization": "acme", "job_id": new_id(), "actor": "system", **more}
    return Item(new_id(), type_, NOON, data=data, **told)


def healed() -> Item:
    failure = FailureFields(**{"class": FailureClass.OVERLOADED, "message": CANARY, "http_status": 529})
    said = Healed(remedy="wait", treatment="Wait", reason=CANARY, failure=failure, attempts=2)
    return an_item("job.healed", Event.of(said, "heal").data)


def dead() -> Item:
    data = {"state": "failed", "model": "auto", "lane": "bulk", "deployment": "a/b@us", "failure_class": "timeout"}
    return an_item("job.failed", {**data, "calls": 6, "seconds": 1.5, "cost": {"usd": "0", "known": True}})


def alert(percent: int) -> Item:
    said = BudgetAlert(
        budget="small", budget_id=new_id(), subject="acme", percent=percent, limit_usd="1", spent_usd="1"
    )  # fmt: skip
    return an_item("budget_alert", Event.of(said, "system").data)


def waiting(kind: WaitKind) -> Item:
    said = WaitOpened(wait_id=new_id(), wait_kind=kind, name="legal", prompt=CANARY, deadline=NOON)
    return an_item("wait.opened", Event.of(said, "system").data)


def opened() -> Item:
    said = BreakerOpened(name="a/b@us", before="closed", reason="5 of 5 calls failed")
    return an_item("breaker.opened", said.model_dump(), organization=None, job_id=None, subject="a/b@us")


def an_incident(over: bool) -> Item:
    common: dict[str, Any] = {"incident_kind": IncidentKind.LATENCY, "about": "deployment:a/b@us", "forecast": False}
    told: Told = IncidentOpened(**common, severity=Severity.WARNING, reason="slow", evidence={"measured": 3.0})
    if over:
        told = IncidentClosed(**common, seconds=60.5, reason="as usual")
    more = {"organization": None, "job_id": None, "subject": INCIDENT}
    return an_item(told.kind, told.model_dump(mode="json"), **more)


INCIDENT = new_id()

ALL = {
    "synthralos.job_failed": healed(),
    "synthralos.job_dead_lettered": dead(),
    "synthralos.budget_exhausted": alert(100),
    "synthralos.approval_wanted": waiting(WaitKind.APPROVAL),
    "synthralos.breaker_opened": opened(),
    "synthralos.incident_opened": an_incident(over=False),
    "synthralos.incident_closed": an_incident(over=True),
}


@pytest.fixture
def fake() -> Iterator[FakeStackStorm]:
    with stackstorm() as running:
        yield running


def config(residency: str | None = None, flag: FlagState = FlagState(True)) -> Config:  # noqa: B008 - immutable
    made = a_config(Catalog([]), stackstorm=RepairTerms(residency))
    return Config(made.catalog, made.credentials, Flags({Flag.ENABLE_STACKSTORM: flag}), stackstorm=made.stackstorm)


def triggers(fake: FakeStackStorm, which: Config | None = None) -> StackStormTriggers:
    link = StackStormLink(fake.url, KEY, True, 10.0)
    return StackStormTriggers(link, lambda: which or config(), NAMES)


@pytest.mark.parametrize("trigger", ALL)
def test_each_trigger_is_taken_with_its_payload_and_its_tag_and_tells_no_content(
    fake: FakeStackStorm, trigger: str
) -> None:
    item = ALL[trigger]
    assert triggers(fake).tell(item) == Delivered(202)
    assert triggers(fake).tell(item) == Delivered(202)
    first, second = fake.told
    assert first == second
    assert (first[0], first[2]) == (trigger, f"synthralos-event-{item.id}")
    assert CANARY not in str(first)


def test_an_incidents_times_are_its_own(fake: FakeStackStorm) -> None:
    over = ALL["synthralos.incident_closed"]
    triggers(fake).tell(over)
    [(_, payload, _)] = fake.told
    assert (payload["id"], payload["severity"], payload["kind"]) == (INCIDENT, "warning", "latency")
    assert payload["opened_at"] == "2026-01-01T11:58:59.500000Z"
    assert payload["closed_at"] == "2026-01-01T12:00:00.000000Z"


@pytest.mark.parametrize("item", [alert(80), waiting(WaitKind.SIGNAL), an_item("job.thought", {"text": CANARY})])
def test_what_is_no_trigger_is_not_told(fake: FakeStackStorm, item: Item) -> None:
    assert triggers(fake).tell(item) is None
    assert fake.server.asked == []


def test_every_failure_that_heal_treats_is_told_only_where_that_is_wanted() -> None:
    assert telling(healed(), None, frozenset(USUAL)) is None
    assert telling(dead(), None, frozenset(USUAL)) is not None


@pytest.mark.parametrize(
    ("classification", "residency", "told"),
    [("eu", None, False), ("eu", "us", False), ("eu", "eu", True), ("secret", "eu", False), (None, None, True)],
)
def test_of_data_that_may_not_go_there_nothing_is_told(
    fake: FakeStackStorm, classification: str | None, residency: str | None, told: bool
) -> None:
    item = replace(dead(), classification=classification)
    outcome = triggers(fake, config(residency)).tell(item)
    assert (outcome == Delivered(202), bool(fake.server.asked)) == (told, told)


def test_an_organization_without_the_flag_is_not_told_of(fake: FakeStackStorm) -> None:
    assert triggers(fake, config(flag=FlagState(False))).tell(dead()) is None
    assert triggers(fake, config(flag=FlagState(False))).tell(opened()) is None
    assert triggers(fake, config(flag=FlagState(True, 0))).tell(opened()) is None


@pytest.mark.parametrize(
    ("instead", "kind"),
    [
        (Answer(400, {"faultstring": "Trigger payload validation failed"}), Refused),
        (Answer(401, {"faultstring": "no"}), TryAgain),
        (Answer(404, {"faultstring": "no"}), TryAgain),
        (Answer(503, b""), TryAgain),
        (Answer(202, b"<html></html>"), TryAgain),
        (Answer(status=0, drop=True), TryAgain),
    ],
)
def test_what_became_of_it_says_whether_to_try_again(fake: FakeStackStorm, instead: Answer, kind: type) -> None:
    fake.instead = instead
    assert isinstance(triggers(fake).tell(dead()), kind)


def test_a_payload_that_its_trigger_does_not_have_is_refused_for_good(fake: FakeStackStorm) -> None:
    refused = triggers(fake).dispatch("synthralos.job_dead_lettered", {"id": "1", "more": True}, "tag")
    assert isinstance(refused, Refused)
    assert refused.status == 400


def test_it_is_a_channel_of_the_feed_while_anybody_has_it_and_it_gets_calls(fake: FakeStackStorm) -> None:
    link = StackStormLink(fake.url, KEY, True, 10.0)
    shut = [False]
    channel = StackStormTriggers(link, config, ("job_dead_lettered", "breaker_opened"), lambda: shut[0])
    [target] = channel.targets()
    assert target == Target("stackstorm", None, frozenset({"job.failed", "breaker.opened"}))
    assert channel.deliver(Sending("1", target, dead(), 0)) == Delivered(202)
    assert isinstance(channel.deliver(Sending("2", target, healed(), 0)), Delivered)
    assert [told[0] for told in fake.told] == ["synthralos.job_dead_lettered"]
    shut[0] = True
    assert channel.targets() == []
    assert StackStormTriggers(link, lambda: config(flag=FlagState(False)), NAMES).targets() == []
    assert StackStormTriggers(link, config, ()).targets() == []
