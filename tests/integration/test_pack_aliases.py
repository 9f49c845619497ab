"""What the StackStorm pack's chat aliases show: of what the real API answered, and of what went wrong."""

from collections.abc import Iterator
from typing import Any

import pytest

from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.incidents import Subject, SubjectKind
from synthralos.domain.jobs import Tenant
from synthralos.domain.permissions import Role
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Transition
from tests.fakes.conducting import MAKING_TIMES_OUT, Engine, engine
from tests.fakes.jobs import new_job, settlement
from tests.fakes.stackstorm_pack import stackstorm
from tests.fakes.stackstorm_schemas import documents
from tests.integration.api_place import Place
from tests.integration.test_api_incidents import found

pytestmark = MAKING_TIMES_OUT

ALIASES = {path.stem: alias for path, alias in documents("aliases/*.yaml").items()}
ERROR = {"error": {"kind": "forbidden", "detail": "not yours", "status": 403, "errors": []}}


@pytest.fixture(scope="module")
def templates() -> Iterator[Engine]:
    with engine() as started:
        yield started


def _shown(templates: Engine, alias: str, status: str, result: Any) -> str:
    values = {"id": "65aa", "status": status, "parameters": {"job_id": "j", "run_id": "r"}, "result": result}
    text, names = templates.render(ALIASES[alias]["result"]["format"], execution=values)
    assert names == ["execution"]
    return text


@pytest.mark.parametrize("alias", ALIASES)
def test_what_failed_is_told_with_the_reason(alias: str, templates: Engine) -> None:
    assert templates.render(ALIASES[alias]["ack"]["format"], execution={"id": "65aa"}) == ("On it: 65aa", ["execution"])
    killed = {"result": "None", "error": "too slow", "stdout": "", "stderr": "", "exit_code": -9}
    assert "timeout" in _shown(templates, alias, "timeout", killed)
    if ALIASES[alias]["action_ref"].rpartition(".")[2] in ("llm_retry", "reroute_request", "agent_recovery"):
        output = {"outcome": "not_recovered", "detail": "It failed again."}
        told = _shown(templates, alias, "failed", {"output": output})
        assert "not_recovered" in told
        assert "It failed again." in told
    else:
        assert "not yours" in _shown(templates, alias, "failed", {"result": ERROR})


def test_what_the_api_answers_is_told(pack_place: Place, templates: Engine) -> None:
    [job_id] = pack_place.store.submit(new_job(run_id="night", tenant=Tenant("acme", "main")))
    [job] = pack_place.store.claim([job_id])
    failure = Failure(FailureClass.OVERLOADED, "try later", http_status=529).to_json()
    assert pack_place.store.settle(settlement(job, Transition.FAIL, failure=failure))
    schedule = {"name": "nightly", "cron": "0 3 * * *", "time_zone": "UTC", "job": {"prompt": "Hello"}}
    schedule_id = pack_place.client().post("/api/v1/schedules", json=schedule).json()["id"]
    asked = {"name": "on-call", "prompt": "Go on?"}
    wait_id = pack_place.client().post("/api/v1/runs/night/waits", json=asked).json()["id"]
    [incident] = found(pack_place, Subject(SubjectKind.ORGANIZATION, "aliases"))
    deployment = sorted(each.id for each in pack_place.core.catalog)[0]
    told = {
        "job": ({"job_id": job_id}, "overloaded"),
        "run": ({"run_id": "night"}, "1 can be recovered"),
        "dead_letters": ({"causes": True}, "1 x overloaded (529)"),
        "queues": ({}, "1 dead letters"),
        "health": ({}, "Ready: database ok"),
        "reset_breaker": ({"name": deployment}, "nothing was done"),
        "pause_deployment": ({"deployment_id": deployment}, f"{deployment} is off"),
        "resume_deployment": ({"deployment_id": deployment}, f"{deployment} is on"),
        "pause_schedule": ({"schedule_id": schedule_id}, "nightly is paused"),
        "resume_schedule": ({"schedule_id": schedule_id}, "nightly fires again"),
        "retry_dead_letters": ({"failure_class": "overloaded"}, "is running"),
        "cancel_job": ({"job_id": job_id}, "nothing was done: "),
        "incident": ({"incident_id": incident.id}, "organization:aliases is repairing"),
        "resolve_incident": ({"incident_id": incident.id}, "is closed"),
        "answer_wait": ({"wait_id": wait_id, "answer": "approve"}, "is answered"),
    }
    assert {name for name in ALIASES if ALIASES[name]["action_ref"].rpartition(".")[2] not in _WORKFLOWS} == set(told)
    with stackstorm(pack_place.url, pack_place.key(Role.ADMIN, EVERYTHING)) as pack:
        for alias, (parameters, words) in told.items():
            result = pack.run(ALIASES[alias]["action_ref"].removeprefix("synthralos."), **parameters)
            assert words in _shown(templates, alias, "succeeded", {"result": result})


_WORKFLOWS = ("llm_retry", "reroute_request", "agent_recovery")
