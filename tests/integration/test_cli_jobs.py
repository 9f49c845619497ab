"""`synthralos up` and `synthralos jobs`, as people and scripts use them."""

import io
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.commands import Command, System, arguments, environment, in_process, system

UNKNOWN = "019a0000-0000-7000-8000-000000000000"
SLOW = {"sandbox": {"delay_seconds": 60.0}}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with system(tmp_path_factory.mktemp("up")) as running:
        yield running


@pytest.fixture
def run(up: System, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("SYNTHRALOS_URL", up.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", up.key)
    return in_process(monkeypatch, capsys)


def jsonl(path: Path, *requests: object) -> str:
    path.write_text("".join(json.dumps(request) + "\n" for request in requests))
    return str(path)


def test_a_prompt_is_submitted_and_its_answer_shown(run: Command) -> None:
    done = run("jobs", "submit", "Name three rivers.", "--wait")
    assert done.code == 0
    assert "three rivers" in done.out
    assert "succeeded" in done.out


def test_prompts_become_vectors(run: Command, tmp_path: Path) -> None:
    words = ("--embed", "--model", "sandbox/embedding", "--dimensions", "8", "--wait")
    one = run("--json", "jobs", "submit", "the river in Paris", *words).json
    assert one["state"] == "succeeded"
    assert one["request"]["kind"] == "embedding"
    assert [len(vector) for vector in one["result"]["embeddings"]] == [8]
    file = jsonl(tmp_path / "texts.jsonl", "the river in Paris", "accounting rules")
    several = run("--json", "jobs", "submit", "-f", file, *words).json["jobs"]
    assert [job["state"] for job in several] == ["succeeded"] * 2
    assert several[0]["result"]["embeddings"] == one["result"]["embeddings"] != several[1]["result"]["embeddings"]
    shown = run("jobs", "submit", "the river in Paris", *words)
    assert (shown.code, "succeeded" in shown.out) == (0, True)


def test_vectors_of_no_model_in_particular_are_refused_by_the_field(run: Command) -> None:
    refused = run("jobs", "submit", "the river in Paris", "--embed")
    assert refused.code != 0
    assert "model" in refused.err


def test_how_a_job_may_share_and_be_repaired_is_said_on_the_command_line(run: Command) -> None:
    job = run("--json", "jobs", "submit", "hi", "--coalesce", "allow", "--repair", "again", "--wait").json
    assert (job["constraints"]["coalesce"], job["constraints"]["repair"]) == ("allow", "again")
    assert run("jobs", "submit", "hi", "--coalesce", "sometimes").code != 0


def test_json_on_standard_output_is_nothing_but_json(run: Command) -> None:
    for words in (["--json", "jobs", "submit", "hi", "--wait"], ["jobs", "submit", "hi", "--wait", "--json"]):
        done = run(*words)
        assert done.json["state"] == "succeeded"
        assert done.json["result"]["text"]


def test_a_file_of_prompts_and_requests_is_submitted(run: Command, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "jobs.jsonl", "a prompt", {"prompt": "a request", "model": "sandbox/medium"})
    done = run("--json", "jobs", "submit", "-f", file, "--model", "sandbox/small", "--run-id", "file", "--wait")
    assert [job["model"] for job in done.json["jobs"]] == ["sandbox/small", "sandbox/medium"]
    listed = run("--json", "jobs", "list", "--run-id", "file").json["jobs"]
    assert len(listed) == 2


def test_ids_go_from_one_command_to_the_next(run: Command, tmp_path: Path) -> None:
    ids = run("jobs", "submit", "-f", jsonl(tmp_path / "two.jsonl", "one", "two")).out.split()
    assert len(ids) == 2
    assert run("jobs", "wait", *ids, "--timeout", "30").code == 0


def test_a_prompt_comes_from_standard_input(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    done = run("--json", "jobs", "submit", "-", "--wait")
    assert done.json["request"]["messages"][0]["content"] == "from a pipe"


def test_the_evidence_of_a_job_is_a_sentence_and_its_proof(run: Command) -> None:
    job = run("--json", "jobs", "submit", "hi", "--classification", "eu", "--wait").json
    done = run("jobs", "evidence", job["id"])
    assert done.code == 0
    assert "the only call went to EU deployments" in done.out
    assert job["result"]["deployment"] in done.out
    assert run("--json", "jobs", "evidence", job["id"]).json["conclusion"]["holds"] is True
    assert run("jobs", "evidence", UNKNOWN).code == 5


def test_a_timeline_shows_every_attempt(run: Command, tmp_path: Path) -> None:
    troubled = {"prompt": "x", "provider_options": {"sandbox": {"failures": ["rate_limited"]}}}
    job = run("--json", "jobs", "submit", "-f", jsonl(tmp_path / "t.jsonl", troubled), "--wait").json
    done = run("jobs", "show", job["id"], "--timeline")
    assert "attempt 1" in done.out
    assert "attempt 2" in done.out
    assert run("--json", "jobs", "show", job["id"], "--timeline").json["trace"]["jobs"][0]["spans"]


def test_jobs_are_cancelled_retried_and_rerouted(run: Command, tmp_path: Path) -> None:
    slow = {"prompt": "x", "provider_options": SLOW}
    (job_id,) = run("jobs", "submit", "-f", jsonl(tmp_path / "slow.jsonl", slow)).out.split()
    assert run("--json", "jobs", "cancel", job_id, "--reason", "test").json["jobs"][0]["state"] == "cancelled"
    assert run("jobs", "retry", job_id).code == 0
    assert run("jobs", "reroute", job_id, "--pin", "sandbox/medium@us").code == 0
    assert run("--json", "jobs", "show", job_id).json["constraints"]["pin"] == "sandbox/medium@us"
    assert run("jobs", "cancel", job_id).code == 0
    assert run("jobs", "cancel", job_id).code == 5


def test_a_refusal_holds_up_none_of_the_other_jobs(run: Command, tmp_path: Path) -> None:
    slow = {"prompt": "x", "provider_options": SLOW}
    first, last = run("jobs", "submit", "-f", jsonl(tmp_path / "slow.jsonl", slow, slow)).out.split()
    done = run("--json", "jobs", "cancel", first, UNKNOWN, last)
    assert done.code == 5
    assert [job["state"] for job in done.json["jobs"]] == ["cancelled", "cancelled"]
    assert [refusal["id"] for refusal in done.json["refused"]] == [UNKNOWN]
    assert UNKNOWN in done.err


def test_a_job_that_does_not_succeed_ends_the_wait_with_1(run: Command, tmp_path: Path) -> None:
    dead = {"prompt": "x", "provider_options": {"sandbox": {"failures": ["invalid_request"]}}}
    done = run("--json", "jobs", "submit", "-f", jsonl(tmp_path / "dead.jsonl", dead), "--wait")
    assert done.code == 1
    assert done.json["state"] == "failed"


def test_a_wait_that_is_too_short_ends_with_6(run: Command, tmp_path: Path) -> None:
    slow = {"prompt": "x", "provider_options": SLOW}
    (job_id,) = run("jobs", "submit", "-f", jsonl(tmp_path / "slow.jsonl", slow)).out.split()
    done = run("jobs", "wait", job_id, "--timeout", "0.2")
    assert done.code == 6
    assert done.out == ""
    run("jobs", "cancel", job_id)


def test_what_the_server_refuses_ends_with_5_and_one_line(run: Command) -> None:
    for wrong in (["show", UNKNOWN], ["submit", "x", "--model", "nobody/knows"], ["list", "--created-after", "noon"]):
        done = run("jobs", *wrong)
        assert done.code == 5
        assert len(done.err.splitlines()) == 1


def test_an_unknown_key_ends_with_5(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHRALOS_API_KEY", "sk-syn-unknown")
    assert run("jobs", "list").code == 5


def test_a_second_start_makes_no_second_admin_key(up: System, tmp_path: Path) -> None:
    with system(tmp_path) as first:
        assert first.key.startswith("sk-syn-")
    assert first.process.returncode == 0
    with system(tmp_path) as second:
        assert second.key is None


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGQUIT], [signal.SIGHUP, signal.SIGHUP]])
def test_whatever_ends_it_lets_what_is_under_way_finish(tmp_path: Path, signals: list[signal.Signals]) -> None:
    from synthralos_client import Client

    with system(tmp_path) as running, Client(running.url, running.key) as client:
        job = client.submit("almost done", provider_options={"sandbox": {"delay_seconds": 1.5}})
        events = client.events(job.id)
        next(event for event in events if event.kind == "attempt")
        events.close()  # type: ignore[attr-defined]  # it is a generator
        for number in signals:
            running.process.send_signal(number)
        assert running.process.wait(timeout=60) == 0
    with system(tmp_path, DRAIN_TIMEOUT="5") as again:
        listed = json.loads(command(again, "keys", "create", "--role", "viewer"))
        with Client(again.url, listed["key"]) as client:
            assert client.wait(job.id, timeout=30).attempts == 1


def test_a_port_that_is_taken_ends_with_4(up: System, tmp_path: Path) -> None:
    port = up.url.rpartition(":")[2]
    taken = subprocess.run(
        arguments("up", "--port", port), cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert taken.returncode == 4
    assert len(taken.stderr.splitlines()) == 1


def test_the_processes_of_the_system_are_alive(
    up: System, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", up.database_url)
    monkeypatch.setenv("PORT", up.url.rpartition(":")[2])
    run = in_process(monkeypatch, capsys)
    for kind in ("worker", "scheduler", "api"):
        assert run("--json", "check", kind).json["alive"]
    monkeypatch.setenv("PORT", "1")
    assert run("check", "api").code == 1


def command(up: System, *rest: str) -> str:
    """A command that works on the system's database."""
    done = subprocess.run(
        arguments("--json", *rest),
        env=environment(DATABASE_URL=up.database_url),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_run_is_capped_and_forked(run: Command) -> None:
    capped = run("--json", "runs", "cap", "tour", "--max-calls", "1", "--max-cost", "0.5", "--organization", "default")
    assert (capped.json["max_calls"], capped.json["calls"]) == (1, 0)
    done = run("--json", "jobs", "submit", "Name a river.", "--run-id", "tour", "--wait")
    assert done.json["state"] == "succeeded"
    over = run("--json", "jobs", "submit", "Name another.", "--run-id", "tour", "--wait")
    assert (over.json["state"], "max_calls of 1" in over.json["failure"]["message"]) == ("failed", True)
    forked = run("--json", "runs", "fork", "tour", over.json["id"], "--new-run-id", "tour-2", "--prompt", "A lake?")
    assert [step["job_id"] for step in forked.json["fork"]["kept"]] == [done.json["id"]]
    assert run("--json", "runs", "show", "tour-2").json["fork"]["parent"] == "tour"
    assert "1 of 1 calls" in run("runs", "show", "tour").err
    assert run("--json", "runs", "uncap", "tour").json["max_calls"] == 1
