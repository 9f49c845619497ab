"""guardrails-ai and real workers: what is denied, flagged, fixed and asked again, and what its absence does to jobs."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipelines.execute.validating import NAME
from synthralos.domain.findings import Decision
from synthralos.domain.states import Stage, State
from tests.fakes.guardrails_process import MAKING_TIMES_OUT, SidecarProcess, sidecar_process
from tests.fakes.jobs import new_job
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server
from tests.fakes.stores import Store
from tests.integration.worker_place import WorkerPlace, deployments_at, worker_place

pytestmark = MAKING_TIMES_OUT

GUARDS = """
[[input]]
validator = "banned_words"
words = ["open sesame"]

[[input]]
validator = "length"
most = 1000
on_fail = "noop"

[[output]]
validator = "matches_not"
pattern = "(?i)as an ai"
on_fail = "reask"

[[output]]
validator = "competitors"
names = ["Initech"]
on_fail = "fix"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SidecarProcess]:
    with sidecar_process(tmp_path_factory.mktemp("sidecar"), GUARDS) as sidecar:
        yield sidecar


@pytest.fixture
def sidecar(running: SidecarProcess) -> Iterator[SidecarProcess]:
    """The sidecar, which a test may stop or kill: it is well again afterwards."""
    yield running
    running.go_on()


@pytest.fixture
def place(store: Store) -> Iterator[WorkerPlace]:
    with worker_place(store) as place:
        yield place


def answering(*texts: str) -> Any:
    left = list(texts)

    def script(asked: Asked) -> Answer:
        text = left.pop(0) if len(left) > 1 else left[0]
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        message = {"role": "assistant", "content": text}
        return Answer(200, {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})

    return script


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = answering("Fine.")
        yield server


Made = dict[str, Any]


def started(place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess, **settings: Any) -> None:
    guardrails = {"guardrails_url": sidecar.url, "guardrails_timeout": 10.0, **settings}
    place.worker(deployments_at(f"{provider.url}/v1", "a"), **guardrails)


def findings(job: Made) -> list[tuple[str, str]]:
    verdict = job["verdict"] or {"findings": []}
    return [(found["guard"], found["decision"]) for found in verdict["findings"] if found["guard"].startswith("guard")]


def test_a_prompt_that_is_refused_is_never_sent(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    started(place, provider, sidecar)
    job = place.run(new_job("Please OPEN\u200b sesame"), new_job("Hello"))
    assert (job["state"], findings(job)) == (State.DENIED, [("guardrails", Decision.DENY)])
    assert "open sesame" in job["verdict"]["findings"][-1]["reason"]
    assert len(provider.asked) == 1


def test_prompts_are_flagged_and_those_that_pass_bear_no_trace(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    started(place, provider, sidecar)
    flagged, fine = place.submit(new_job("word " * 300), new_job("Hello"))
    assert place.finished(flagged, fine) == [State.SUCCEEDED] * 2
    assert findings(place.store.job(flagged)) == [("guardrails", Decision.FLAG)]
    assert findings(place.store.job(fine)) == []


def test_an_answer_that_fails_is_billed_and_asked_for_again(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    provider.script = answering("As an AI I cannot.", "Here you are.")
    started(place, provider, sidecar)
    [job_id] = place.submit(new_job("Hello"))
    assert place.finished(job_id) == [State.SUCCEEDED]
    assert place.store.job(job_id)["result"]["text"] == "Here you are."
    first, second = place.store.attempts(job_id)
    assert (first["failure"]["class"], first["billed"], second["billed"]) == ("schema_mismatch", "yes", "yes")
    assert first["cost_picousd"] == second["cost_picousd"] > 0


def test_an_answer_is_fixed_and_the_job_says_so(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    provider.script = answering("Try Initech instead.")
    started(place, provider, sidecar)
    job = place.run(new_job("Hello"))
    assert job["result"]["text"] == "Try [removed] instead."
    assert (job["state"], findings(job)) == (State.SUCCEEDED, [(NAME, Decision.FLAG)])


def test_with_the_flag_off_nothing_is_shown(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    started(place, provider, sidecar, enable_guardrails_ai=False)
    job = place.run(new_job("Please open sesame"))
    assert (job["state"], findings(job)) == (State.SUCCEEDED, [])


@pytest.mark.parametrize("blow", [SidecarProcess.stop, SidecarProcess.kill])
def test_without_it_jobs_go_on_and_say_that_nobody_looked(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess, blow: Callable[[SidecarProcess], None]
) -> None:
    started(place, provider, sidecar, guardrails_timeout=0.3)
    blow(sidecar)
    job = place.run(new_job("Please open sesame"))
    assert (job["state"], findings(job)) == (State.SUCCEEDED, [("guardrails", "flag"), (NAME, "flag")])
    assert all(found["signals"].get("unseen") for found in job["verdict"]["findings"] if "guard" in found["guard"])


def test_where_it_fails_closed_jobs_wait_for_it_and_are_looked_at_when_it_is_back(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    started(place, provider, sidecar, guardrails_timeout=0.3, guardrails_failure="closed")
    sidecar.stop()
    good, bad = place.submit(new_job("Hello"), new_job("Please open sesame"))
    for job_id in (good, bad):
        place.reaches(job_id, State.PARKED)
        parked = place.store.job(job_id)
        assert (parked["stage"], parked["attempts"], findings(parked)) == (Stage.GUARD, 0, [("guardrails", "defer")])
        assert re.search(r"guardrails-ai cannot look", parked["verdict"]["findings"][-1]["reason"])
    assert provider.asked == []
    sidecar.go_on()
    place.wake(good)
    place.wake(bad)
    assert place.finished(good, bad) == [State.SUCCEEDED, State.DENIED]


def test_killed_and_started_again_it_is_asked_again(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    started(place, provider, sidecar)
    assert place.run(new_job("open sesame"))["state"] == State.DENIED
    sidecar.kill()
    assert findings(place.run(new_job("open sesame")))[0] == ("guardrails", Decision.FLAG)
    sidecar.start()
    assert place.run(new_job("open sesame, again"))["state"] == State.DENIED


def test_a_long_prompt_is_looked_at_to_its_end(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    started(place, provider, sidecar)
    job = place.run(new_job(" " * 200_000 + "open sesame"), new_job("Hello"))
    assert (job["state"], findings(job)) == (State.DENIED, [("guardrails", Decision.DENY)])


def test_what_another_guard_denies_is_not_shown(
    place: WorkerPlace, provider: ScriptedServer, sidecar: SidecarProcess
) -> None:
    started(place, provider, sidecar)
    job = place.run(new_job("open sesame " * 1_000_000))
    assert (job["state"], findings(job)) == (State.DENIED, [])
