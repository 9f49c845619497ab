"""The StackStorm pack's workflows, conducted by StackStorm's own engine: every branch tells how it came out."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.conducting import MAKING_TIMES_OUT, Engine, engine
from tests.fakes.stackstorm_schemas import PACK, documents

pytestmark = MAKING_TIMES_OUT

WORKFLOWS = {path.stem: path.read_text("utf-8") for path in sorted((PACK / "actions" / "workflows").glob("*.yaml"))}
JOBS = ("llm_retry", "reroute_request")
ACTS = {
    "llm_retry": "job_retry", "reroute_request": "job_reroute", "agent_recovery": "run_recover",
    "incident_repair": "queue_stats",
}  # fmt: skip
LOOKS = {
    "llm_retry": "job_get", "reroute_request": "job_get", "agent_recovery": "run_get", "incident_repair": "incident_get"
}  # fmt: skip
INCIDENT_ACTS = {
    "pause_deployment": "deployment_pause", "reset_breaker": "breaker_reset",
    "reroute_dead_letters": "dead_letters_reroute",
}  # fmt: skip

KILLED = (False, {"stdout": "", "stderr": "", "exit_code": -9, "result": "None"})
REFUSED = (False, {"result": {"error": {"kind": "forbidden", "detail": "no"}}})
DONE = (True, {"result": {"changed": True, "retried_in_all": 2, "missing": ["check"]}})


def job(state: str, attempts: int = 2) -> tuple[bool, dict[str, Any]]:
    """What job_get answers."""
    succeeded, terminal = state == "succeeded", state in ("succeeded", "failed", "cancelled")
    revivable = terminal and not succeeded
    return True, {
        "result": {
            "state": state, "attempts": attempts, "finished_at": "2026-01-31T12:00:00.000000Z" if terminal else None,
            "succeeded": succeeded, "terminal": terminal, "revivable": revivable,
            "retryable": revivable or state == "parked",
        }
    }  # fmt: skip


def run(state: str, recoverable: int = 0, attempts: int = 2) -> tuple[bool, dict[str, Any]]:
    """What run_get answers."""
    return True, {
        "result": {
            "state": state, "succeeded": state == "succeeded", "finished": state != "running",
            "recoverable": recoverable, "most_attempts": attempts,
        }
    }  # fmt: skip


def incident(state: str, subject: str = "deployment:openai/gpt@us") -> tuple[bool, dict[str, Any]]:
    """What incident_get answers."""
    kind, _, name = subject.partition(":")
    return True, {
        "result": {
            "state": state, "over": state == "closed", "escalated": state == "escalated", "subject": subject,
            "subject_kind": kind, "subject_name": name, "opened_at": "2026-01-31T12:00:00.000000Z",
        }
    }  # fmt: skip


STATS = (
    True,
    {"result": {"open": {state: {"jobs": 3} for state in ("queued", "active", "parked")}, "dead_letters": {"jobs": 7}}},
)
REPORTED = (True, {"result": {"changed": True}})


@pytest.fixture(scope="module")
def conductor() -> Iterator[Engine]:
    with engine() as started:
        yield started


def _conducted(
    conductor: Engine, name: str, given: dict[str, Any] | None = None, **answers: list[Any]
) -> tuple[str, str, list[str]]:
    """The status, the outcome, and the actions that were asked for."""
    found = _found(conductor, name, given or {}, answers)
    return found["status"], found["output"]["outcome"], [_short(each["action"]) for each in found["asked"]]


def _short(action: str) -> str:
    return action.removeprefix("synthralos.")


def _found(conductor: Engine, name: str, given: dict[str, Any], answers: dict[str, list[Any]]) -> dict[str, Any]:
    [metadata] = documents(f"actions/{name}.yaml").values()
    known = metadata["parameters"]
    # As StackStorm hands them over: what was left out and has no default is not there.
    inputs = {key: parameter["default"] for key, parameter in known.items() if "default" in parameter}
    inputs |= {key: "x" for key, parameter in known.items() if parameter.get("required")}
    found = conductor.conduct(WORKFLOWS[name], {**inputs, "checks": 3, **given}, **answers)
    assert found["inspected"] == {}
    expressions = [each for each in found["errors"] if each["message"] != "Execution failed. See result for details."]
    assert expressions == []
    for each in found["asked"]:
        # What is told is what came out.
        if each["action"] == "core.announcement":
            assert each["input"]["message"]["outcome"] == found["output"]["outcome"]
    return found


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_undefined_variable_and_takes_what_its_action_declares(name: str, conductor: Engine) -> None:
    [metadata] = documents(f"actions/{name}.yaml").values()
    found = conductor.conduct(WORKFLOWS[name], dict.fromkeys(metadata["parameters"], 1), **{LOOKS[name]: [KILLED]})
    assert found["inspected"] == {}
    broken = WORKFLOWS[name].replace("<% ctx().outcome %>", "<% ctx().outcmoe %>", 1)
    assert conductor.conduct(broken, {}, **{LOOKS[name]: [KILLED]})["inspected"] != {}


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize(
    ("looks", "status", "outcome"),
    [
        ([job("failed"), job("queued"), job("succeeded")], "succeeded", "recovered"),
        ([job("failed"), KILLED, job("succeeded")], "succeeded", "recovered"),
        ([job("failed"), job("active"), job("failed", 3)], "failed", "not_recovered"),
        ([job("failed"), job("active")], "failed", "still_open"),
        ([job("failed"), KILLED], "failed", "error"),
        ([job("succeeded")], "succeeded", "already_succeeded"),
        ([job("failed", 9)], "failed", "too_many_attempts"),
        ([REFUSED], "failed", "error"),
        ([KILLED, KILLED, job("succeeded")], "succeeded", "already_succeeded"),
    ],
)
def test_a_job_is_looked_at_acted_on_once_and_followed_to_its_end(
    name: str, looks: list[Any], status: str, outcome: str, conductor: Engine
) -> None:
    ended, told, asked = _conducted(conductor, name, job_get=looks, **{ACTS[name]: [DONE]})
    assert (ended, told) == (status, outcome)
    assert asked.count(ACTS[name]) == (outcome in ("recovered", "not_recovered", "still_open") or looks[1:] == [KILLED])
    assert asked[-1] == "core.announcement"
    # The first look and its three tries again, then the watch with its three.
    assert asked.count("job_get") <= 8


def test_a_job_that_is_parked_for_a_repair_is_retried(conductor: Engine) -> None:
    """Of the jobs here, only such ones are parked."""
    answers = {"job_get": [job("parked"), job("succeeded")], "job_retry": [DONE]}
    assert _conducted(conductor, "llm_retry", **answers)[1:] == (
        "recovered", ["job_get", "job_retry", "job_get", "core.announcement"],
    )  # fmt: skip


def test_a_job_under_way_is_not_retried_but_followed(conductor: Engine) -> None:
    answers = {"job_get": [job("active"), job("succeeded")]}
    assert _conducted(conductor, "llm_retry", **answers)[2] == ["job_get", "job_get", "core.announcement"]
    assert "job_reroute" in _conducted(conductor, "reroute_request", **answers)[2]


@pytest.mark.parametrize(
    ("looks", "status", "outcome"),
    [
        ([run("failed", 2), run("running"), run("succeeded")], "succeeded", "recovered"),
        ([run("running", 1), run("running"), run("succeeded")], "succeeded", "recovered"),
        ([run("failed", 2), run("failed", 1)], "failed", "not_recovered"),
        ([run("failed", 2), run("running")], "failed", "still_open"),
        ([run("running"), run("succeeded")], "succeeded", "recovered"),
        ([run("failed", 0)], "failed", "not_recoverable"),
        ([run("failed", 2, 9)], "failed", "too_many_attempts"),
        ([run("succeeded")], "succeeded", "already_succeeded"),
        ([REFUSED], "failed", "error"),
    ],
)
def test_a_run_is_looked_at_recovered_once_and_followed_to_its_end(
    looks: list[Any], status: str, outcome: str, conductor: Engine
) -> None:
    ended, told, asked = _conducted(conductor, "agent_recovery", run_get=looks, run_recover=[DONE])
    assert (ended, told) == (status, outcome)
    assert asked.count("run_recover") == (
        looks[0][0] and looks[0][1]["result"]["recoverable"] > 0 and "many" not in told
    )
    assert asked[-1] == "core.announcement"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_cannot_be_done_is_a_failure_and_is_told(name: str, conductor: Engine) -> None:
    looks = {"agent_recovery": [run("failed", 1)], "incident_repair": [incident("verifying")]}.get(
        name, [job("failed")]
    )
    for failure in (REFUSED, KILLED):
        ended, told, asked = _conducted(conductor, name, **{LOOKS[name]: looks, ACTS[name]: [failure]})
        assert (ended, told, asked[-1]) == ("failed", "error", "core.announcement")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_an_announcement_that_fails_changes_no_outcome(name: str, conductor: Engine) -> None:
    done = {"agent_recovery": run("succeeded"), "incident_repair": incident("closed")}.get(name, job("succeeded"))
    for looks, status in (([done], "succeeded"), ([REFUSED], "failed")):
        found = _conducted(conductor, name, **{LOOKS[name]: looks, "announcement": [KILLED]})
        assert found[0] == status


@pytest.mark.parametrize("act", INCIDENT_ACTS)
@pytest.mark.parametrize(
    ("looks", "status", "outcome"),
    [
        ([incident("verifying"), incident("verifying"), incident("closed")], "succeeded", "recovered"),
        ([incident("verifying"), KILLED, incident("closed")], "succeeded", "recovered"),
        ([incident("verifying"), incident("escalated")], "failed", "not_recovered"),
        ([incident("verifying"), incident("verifying")], "failed", "still_open"),
        ([incident("verifying"), KILLED], "failed", "error"),
    ],
)
def test_an_incident_is_acted_on_once_reported_and_followed_to_its_end(
    act: str, looks: list[Any], status: str, outcome: str, conductor: Engine
) -> None:
    given = {"act": act, "repair_id": "r1", "reason": "why", "incident_id": "i1"}
    answers = {"incident_get": looks, INCIDENT_ACTS[act]: [DONE], "incident_repair_report": [REPORTED]}
    found = _found(conductor, "incident_repair", given, answers)
    assert (found["status"], found["output"]["outcome"]) == (status, outcome)
    did = {_short(each["action"]): each["input"] for each in found["asked"]}
    assert [_short(each["action"]) for each in found["asked"]][:3] == [
        "incident_get", INCIDENT_ACTS[act], "incident_repair_report",
    ]  # fmt: skip
    assert "openai/gpt@us" in did[INCIDENT_ACTS[act]].values()
    assert (did["incident_repair_report"]["outcome"], did["incident_repair_report"]["repair_id"]) == ("acted", "r1")
    if act == "reroute_dead_letters":
        wanted = did["dead_letters_reroute"]
        assert (wanted["exclude"], wanted["key"], wanted["failed_after"]) == (
            ["openai/gpt@us"], "incident-i1", "2026-01-31T12:00:00.000000Z",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("act", "look", "status", "outcome", "said"),
    [
        ("diagnose", incident("verifying", "queue:execute/bulk"), "succeeded", "diagnosed", "nothing_to_do"),
        ("pause_deployment", incident("closed"), "succeeded", "already_over", "nothing_to_do"),
        ("pause_deployment", incident("verifying", "organization:acme"), "failed", "not_applicable", "failed"),
        ("reset_breaker", REFUSED, "failed", "error", "failed"),
    ],
)
def test_where_nothing_is_done_about_an_incident_synthralos_hears_that_and_why(
    act: str, look: Any, status: str, outcome: str, said: str, conductor: Engine
) -> None:
    answers = {"incident_get": [look], "queue_stats": [STATS], "incident_repair_report": [REPORTED]}
    found = _found(conductor, "incident_repair", {"act": act, "repair_id": "r1"}, answers)
    assert (found["status"], found["output"]["outcome"]) == (status, outcome)
    [report] = [each["input"] for each in found["asked"] if "report" in each["action"]]
    assert report["outcome"] == said
    assert report["detail"] == found["output"]["detail"]
    if act == "diagnose":
        assert "3 jobs are queued" in report["detail"]
        assert "7 dead letters" in report["detail"]


@pytest.mark.parametrize("act", INCIDENT_ACTS)
@pytest.mark.parametrize("failure", [REFUSED, KILLED])
def test_an_act_that_fails_is_reported_as_one_and_is_not_watched(act: str, failure: Any, conductor: Engine) -> None:
    answers = {"incident_get": [incident("verifying")], INCIDENT_ACTS[act]: [failure]}
    found = _found(conductor, "incident_repair", {"act": act, "repair_id": "r1"}, answers)
    assert (found["status"], found["output"]["outcome"]) == ("failed", "error")
    reports = [each["input"]["outcome"] for each in found["asked"] if "report" in each["action"]]
    assert reports == ["failed"]
    assert [_short(each["action"]) for each in found["asked"]].count("incident_get") == 1
