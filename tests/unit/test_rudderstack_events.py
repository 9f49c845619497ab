"""RudderStack's events: what each says, under ids that never change and are never used for anything else."""

from decimal import Decimal
from typing import Any

import jsonschema_rs
import orjson
import pytest

from pipelines.analyze.exporters.rudderstack.contract import CONTRACT, Event, JobEvent, name_of
from pipelines.analyze.exporters.rudderstack.events import Events
from pipelines.analyze.trace import assemble
from synthralos.domain.events import EVENTS
from tests.fakes.trace_rows import JOB_ID, attempt, event, job, stage, timeline

FAILURE = {"class": "timeout", "message": "quoted: Hello", "retry_after": None, "http_status": None,
           "provider_code": None}  # fmt: skip
SECRET = "the quick brown fox"
PLAIN, ALL = Events("1.0"), Events("1.0", "all")


def trace(more: dict[str, Any] | None = None, *, rows: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    made = assemble(job(**changes), rows or timeline(attempts=[attempt(1, 3)], spans=[stage("guard", 1)]))
    return {**made, **(more or {})}


def happened(kind: str, **data: Any) -> dict[str, Any]:
    return {**event(1), "kind": kind, "data": data}


def named(events: list[Event], name: str) -> list[Event]:
    return [each for each in events if each["event"] == name]


def ids(events: list[Event]) -> list[str]:
    return [each["messageId"] for each in events]


def full(**changes: Any) -> dict[str, Any]:
    """A trace with something of everything, and one text wherever people write."""
    rows = timeline(
        attempts=[attempt(1, 1, outcome="failed", failure=FAILURE | {"message": SECRET}), attempt(2, 5)],
        events=[
            {**event(2), "id": "e1", "kind": "healed", "actor": "heal", "data": {
                "attempts": 1, "remedy": "backoff", "treatment": "Wait", "reason": SECRET,
                "failure": FAILURE | {"message": SECRET}}},
            {**event(3), "id": "e2", "kind": "thought", "data": {"text": SECRET}},
            {**event(4), "id": "e3", "kind": "cancel", "actor": "key:x", "data": {"reason": SECRET, "from": "active"}},
            {**event(4), "id": "e4", "kind": "wait.answered", "data": {
                "wait_id": "w", "wait_kind": "approval", "name": SECRET, "state": "answered", "comment": SECRET,
                "answer": {"answer": SECRET}}},
        ],
    )  # fmt: skip
    request = {"body": {"messages": [{"role": "user", "content": SECRET}]}, "provider_options": {}}
    said = {"source": "human", "label": "helpful", "score": 1.0, "comment": SECRET, "at": "2026-01-31T12:00:10.000000Z"}
    similar = {
        "matched_job_id": "m",
        "matched_classification": None,
        "score": 0.9,
        "matches": [1, 2],
        "embedder": "b",
        "at": "2026-01-31T12:00:00.000000Z",
    }
    verdict = {"decision": "flag", "findings": [
        {"guard": "abuse", "decision": "flag", "reason": SECRET, "signals": {}},
        {"guard": "size", "decision": "allow", "reason": SECRET, "signals": {}},
    ]}  # fmt: skip
    more = {"feedback": [said], "similarity": similar}
    wanted = {"request": request, "result": {"text": SECRET}, "metadata": {"note": SECRET}, "verdict": verdict,
              "failure": FAILURE | {"message": SECRET}, **changes}  # fmt: skip
    return trace(more, rows=rows, **wanted)


@pytest.mark.parametrize("made", [PLAIN, Events("1.0", "metadata"), ALL], ids=["none", "metadata", "all"])
def test_every_event_fits_its_schema(made: Events) -> None:
    schemas = {getattr(model, "event", ""): model.model_json_schema() for model in CONTRACT.values()}
    events = made.of(full())
    assert len(events) == 9
    for each in events:
        schema = schemas.get(each["event"], schemas[JobEvent.event])
        jsonschema_rs.validate(schema, each["properties"])
    traits = made.identify(full())
    assert traits is not None
    jsonschema_rs.validate(schemas["identify"], traits["context"]["traits"])


def test_the_same_trace_gives_the_same_events() -> None:
    assert orjson.dumps(PLAIN.of(full())) == orjson.dumps(PLAIN.of(full()))
    assert PLAIN.identify(full()) == PLAIN.identify(full())


def test_no_two_events_share_an_id() -> None:
    found = ids(PLAIN.of(full()))
    assert len(set(found)) == len(found)


def test_events_come_in_the_order_in_which_things_happened() -> None:
    times = [each["timestamp"] for each in PLAIN.of(full())]
    assert times == sorted(times)


def test_what_people_wrote_is_sent_only_where_a_setting_allows_it() -> None:
    assert SECRET not in orjson.dumps(PLAIN.of(full())).decode()
    only_metadata = orjson.dumps(Events("1.0", "metadata").of(full())).decode()
    assert only_metadata.count(SECRET) == 1
    everything = ALL.of(full())
    [ended] = named(everything, "Job Ended")
    assert SECRET in ended["properties"]["request"]
    assert SECRET in ended["properties"]["result"]
    assert named(everything, "Thought Noted")[0]["properties"]["text"] == SECRET


def test_a_job_that_nobody_may_keep_has_no_content_anywhere() -> None:
    assert SECRET not in orjson.dumps(ALL.of(full(constraints={"zero_retention": True}))).decode()


def test_each_call_that_costs_is_told_with_its_money_as_text() -> None:
    rows = timeline(attempts=[
        attempt(1, 1, outcome="failed", billed="no", failure=FAILURE),
        attempt(2, 3, outcome="lost", billed="maybe", cost_picousd=None, input_tokens=None),
        attempt(3, 5),
    ])  # fmt: skip
    calls = named(PLAIN.of(trace(rows=rows)), "Model Cost Logged")
    said = [each["properties"] for each in calls]
    assert [(each["attempt_no"], each["cost_usd"], each["input_tokens"]) for each in said] == [
        (2, None, None), (3, "0.00010", 3),
    ]  # fmt: skip


def test_a_call_that_still_runs_is_not_told() -> None:
    unknown = ["billed", "failure", "input_tokens", "cost_picousd", "seconds", "ended_at"]
    row = attempt(1, 3, outcome="open", **dict.fromkeys(unknown))
    assert PLAIN.of(trace(rows=timeline(attempts=[row]), state="active", finished_at=None)) == []


def test_what_is_learned_late_is_an_event_of_its_own() -> None:
    before = PLAIN.of(trace(rows=timeline(attempts=[attempt(1, 3, outcome="lost", billed="maybe", cost_picousd=None)])))
    late = trace(rows=timeline(attempts=[attempt(1, 3, late=True)]), cost=Decimal("0.0001"))
    after = PLAIN.of(late)
    assert not set(ids(before)) & set(ids(after))
    revisions = [named(events, "Job Ended")[0]["properties"]["revision"] for events in (before, after)]
    assert revisions == [0, 1]


def test_a_job_that_ends_again_after_a_retry_is_told_again_and_its_first_calls_are_not() -> None:
    first = PLAIN.of(trace(state="failed", failure=FAILURE))
    both = [attempt(1, 3), attempt(2, 20)]
    second = PLAIN.of(trace(rows=timeline(attempts=both), attempts=2, finished_at=attempt(2, 20)["ended_at"]))
    assert ids(named(first, "Model Cost Logged")) == ids(named(second, "Model Cost Logged"))[:1]
    assert ids(named(first, "Job Ended")) != ids(named(second, "Job Ended"))


def test_feedback_that_changes_is_told_anew() -> None:
    said = {"source": "human", "label": "", "score": 1.0, "comment": None, "at": "2026-01-31T12:00:10.000000Z"}
    found = [named(PLAIN.of(trace({"feedback": [each]})), "Feedback Given") for each in (said, {**said, "score": 0.0})]
    assert found[0][0]["messageId"] != found[1][0]["messageId"]


def test_users_of_different_tenants_are_different_people() -> None:
    tenants = [("a", "b/c", "d"), ("a/b", "c", "d"), ("a", "b", "c/d"), ("a", "b", "c d"), ("a", "b", "c%20d")]
    people = [
        PLAIN.of(trace(organization=one, workspace=two, user_id=three))[0]["userId"] for one, two, three in tenants
    ]
    assert len(set(people)) == len(tenants)
    assert people[0] == "a/b%2Fc/d"


def test_without_a_user_events_are_anonymous_and_nobody_is_identified() -> None:
    nobody = trace(user_id=None)
    assert PLAIN.identify(nobody) is None
    assert {(each.get("userId"), each["anonymousId"]) for each in PLAIN.of(nobody)} == {(None, "acme/main")}


def test_every_kind_of_event_has_a_name_of_its_own() -> None:
    names = [name_of(kind) for kind in EVENTS]
    assert len(set(names)) == len(names)
    assert name_of("wait.opened") == "Wait Opened"


def test_an_event_of_a_kind_that_is_not_known_yet_says_only_what_is_known() -> None:
    rows = timeline(events=[happened("moon_rose", phase=SECRET, attempts=2)])
    [told] = named(ALL.of(trace(rows=rows)), "Moon Rose")
    assert SECRET not in orjson.dumps(told).decode()
    assert told["properties"]["attempts"] == 2


def test_nothing_in_an_event_is_a_binary_number_of_money_or_nested_deep() -> None:
    def depth(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + max(map(depth, inner), default=0)

    for each in ALL.of(full()):
        money = {name: value for name, value in each["properties"].items() if name.endswith("_usd")}
        assert all(value is None or isinstance(value, str) for value in money.values())
        assert depth(each) <= 5


def test_a_cost_has_its_id_from_what_it_says() -> None:
    [call] = named(PLAIN.of(trace()), "Model Cost Logged")
    assert call["messageId"].startswith(f"{JOB_ID}:call:1:")
