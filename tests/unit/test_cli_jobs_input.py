"""What `synthralos jobs` sends, and how it ends when nothing answers."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.commands import Command, in_process
from tests.fakes.scripted_server import Answer, ScriptedServer, scripted_server


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
