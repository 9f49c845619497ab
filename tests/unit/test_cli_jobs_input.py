"""What `synthralos jobs` sends, and how it ends when nothing answers."""

import io
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.commands import Command, in_process
from tests.fakes.scripted_server import Answer, Asked, ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        running.answer_in_turn(Answer(202, {"id": "j1", "state": "queued", "trace_id": "t1"}))
        yield running


@pytest.fixture
def run(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setenv("SYNTHRALOS_URL", server.url)
    monkeypatch.setenv("SYNTHRALOS_API_KEY", "sk-syn-test")
    return in_process(monkeypatch, capsys)


def test_options_become_the_fields_of_the_request(server: ScriptedServer, run: Command) -> None:
    words = ["--model", "a/b", "--max-output-tokens", "9", "--temperature", "0.5", "--lane", "bulk", "--deadline", "7"]
    words += ["--run-id", "r", "--meta", "a=b=c", "--classification", "eu", "--max-cost", "0.10"]
    assert run("jobs", "submit", "hello", *words, "--idempotency-key", "k").code == 0
    assert server.asked[0].json() == {
        "model": "a/b",
        "prompt": "hello",
        "max_output_tokens": 9,
        "temperature": 0.5,
        "lane": "bulk",
        "deadline_seconds": 7.0,
        "run_id": "r",
        "metadata": {"a": "b=c"},
        "constraints": {"classification": "eu", "max_cost_usd": "0.10"},
    }
    assert server.asked[0].headers["idempotency-key"] == "k"


def test_the_options_of_each_group_reach_the_request(server: ScriptedServer, run: Command) -> None:
    words = ["--pin", "a/b@us", "--zero-retention", "--service-tier", "flex", "--on-limit", "reject", "--max-wait", "3"]
    words += ["--private-data", "redact", "--restore", "--reuse", "--repair", "explain", "--repair-model", "cheapest"]
    assert run("jobs", "submit", "hello", *words).code == 0
    assert server.asked[0].json()["constraints"] == {
        "pin": "a/b@us",
        "zero_retention": True,
        "service_tier": "flex",
        "on_limit": "reject",
        "max_wait_seconds": 3.0,
        "private_data": "redact",
        "restore_private_data": True,
        "reuse": "allow",
        "repair": "explain",
        "repair_model": "cheapest",
    }


def test_prompts_are_sent_to_be_embedded(server: ScriptedServer, run: Command) -> None:
    assert run("jobs", "submit", "hello", "--embed", "--model", "a/b", "--dimensions", "8").code == 0
    assert server.asked[0].json() == {"kind": "embedding", "model": "a/b", "input": "hello", "dimensions": 8}


def test_messages_of_a_file_are_sent_as_they_are(server: ScriptedServer, run: Command, tmp_path: Path) -> None:
    server.answer_in_turn(Answer(202, {"jobs": [{"id": "j1", "state": "queued"}]}))
    request = {"messages": [{"role": "user", "content": "x"}], "lane": "interactive"}
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps(request) + "\n\n")
    assert run("jobs", "submit", "-f", str(file)).code == 0
    assert server.asked[0].json() == [{"model": "auto", **request}] or server.asked[0].json() == [request]


def test_the_address_may_be_an_option(server: ScriptedServer, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHRALOS_URL", "http://127.0.0.1:1")
    assert run("jobs", "--url", server.url, "submit", "hello").code == 0


@pytest.mark.parametrize(
    ("name", "content", "prompts"),
    [
        ("notes.txt", "one\n\n  {two}\r\n", ["one", "{two}"]),
        ("array.json", '[\n "one",\n {"prompt": "two"}\n]', ["one", "two"]),
        ("object.json", '{\n "prompt": "one"\n}\n', ["one"]),
        ("lines.jsonl", '{"prompt": "one"}\n"two"\n', ["one", "two"]),
    ],
)
def test_prompts_come_from_text_arrays_and_lines(
    server: ScriptedServer, run: Command, tmp_path: Path, name: str, content: str, prompts: list[str]
) -> None:
    server.answer_in_turn(Answer(202, {"jobs": [{"id": "j1", "state": "queued"}]}))
    (tmp_path / name).write_bytes(content.encode())
    assert run("jobs", "submit", "-f", str(tmp_path / name)).code == 0
    assert [request["prompt"] for request in server.asked[0].json()] == prompts


def test_ids_come_from_standard_input_and_each_is_sent_once(
    server: ScriptedServer, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer_in_turn(Answer(200, {"results": []}))
    monkeypatch.setattr("sys.stdin", io.StringIO("j2  queued\n\nj1\n"))
    assert run("jobs", "cancel", "j1", "-").code == 0
    assert server.asked[0].json() == {"operation": "cancel", "jobs": ["j1", "j2"]}


def test_no_ids_on_standard_input_are_a_wrong_argument(
    server: ScriptedServer, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run("jobs", "retry", "-").code == 2
    assert server.asked == []


def test_what_was_done_before_the_server_failed_is_told(server: ScriptedServer, run: Command) -> None:
    server.answer_in_turn(Answer(200, {"id": "j1", "state": "queued"}), Answer(500, {"title": "a bug"}))
    done = run("jobs", "reroute", "j1", "j2")
    assert done.code == 4
    assert "j1" in done.out


def test_a_wait_survives_a_server_that_is_away(server: ScriptedServer, run: Command) -> None:
    away = [Answer(503, {}, {"Retry-After": "0"})] * 5
    here = Answer(200, {"id": "j1", "state": "queued"})
    server.answer_in_turn(here, *away, Answer(200, {"id": "j1", "state": "succeeded"}))
    done = run("--json", "jobs", "wait", "j1")
    assert done.code == 0
    assert done.json["state"] == "succeeded"


def test_a_wait_for_a_server_that_stays_away_ends_with_its_time(server: ScriptedServer, run: Command) -> None:
    server.answer_in_turn(Answer(200, {"id": "j1", "state": "queued"}), Answer(503, {}, {"Retry-After": "0"}))
    assert run("jobs", "wait", "j1", "--timeout", "0.1").code == 6


def test_an_interrupted_wait_says_which_jobs_go_on(server: ScriptedServer, run: Command) -> None:
    def script(asked: Asked) -> Answer:
        if asked.method == "GET":
            os.kill(os.getpid(), signal.SIGINT)
        return Answer(202, {"id": "j1", "state": "queued"})

    server.script = script
    done = run("jobs", "submit", "hello", "--wait")
    assert done.code == 130
    assert "j1" in done.err
    assert "jobs wait" in done.err


@pytest.mark.parametrize("content", ["", "\n", "not json\n", "[1]\n", "7\n"])
def test_a_file_that_holds_no_requests_is_a_wrong_argument(
    server: ScriptedServer, run: Command, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(content)
    assert run("jobs", "submit", "-f", str(file)).code == 2
    assert server.asked == []


@pytest.mark.parametrize("words", [[], ["hello", "-f", "x.jsonl"], ["hello", "--meta", "novalue"]])
def test_unclear_input_is_a_wrong_argument(server: ScriptedServer, run: Command, words: list[str]) -> None:
    assert run("jobs", "submit", *words).code == 2
    assert server.asked == []


def test_a_file_that_does_not_exist_is_told_in_one_line(run: Command) -> None:
    done = run("jobs", "submit", "-f", "/nowhere.jsonl")
    assert done.code == 2
    assert "/nowhere.jsonl" in done.err


def test_no_key_ends_with_3(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTHRALOS_API_KEY")
    done = run("jobs", "list")
    assert done.code == 3
    assert "SYNTHRALOS_API_KEY" in done.err


def test_nobody_there_ends_with_4_and_the_address(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("SYNTHRALOS_URL", url)
    done = run("jobs", "show", "j1")
    assert done.code == 4
    assert url in done.err
    assert len(done.err.splitlines()) == 1


def test_a_key_is_in_no_message(run: Command, server: ScriptedServer) -> None:
    server.answer_in_turn(Answer(401, {"title": "Unauthorized"}))
    done = run("jobs", "list")
    assert done.code == 5
    assert "sk-syn-test" not in done.out + done.err
