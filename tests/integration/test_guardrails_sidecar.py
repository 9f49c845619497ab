"""The sidecar as it is: the real guardrails-ai package in its own environment, and what it says of real texts."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guardrails_sidecar import environment
from tests.fakes.children import child
from tests.fakes.guardrails_process import (
    MAKING_TIMES_OUT,
    SidecarProcess,
    run_in_sidecar,
    sidecar_process,
    sidecar_python,
)

pytestmark = MAKING_TIMES_OUT

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "pattern": "^(a|aa)+$"}}, "required": ["city"]}
SLOW = "(a|aa)+$"
"""A pattern that would take longer than the universe on `SLOW_TEXT`."""
SLOW_TEXT = "a" * 60 + "!"

LENGTH = ("length", {"least": 2, "most": 5})
BANNED = ("banned_words", {"words": ["open sesame", "Straße", "bad"]})
COMPETITORS = ("competitors", {"names": ["Initech", "Acme Corp."]})
MATCHES = ("matches", {"pattern": "[0-9]{3}"})
MATCHES_NOT = ("matches_not", {"pattern": "secret[0-9]"})
JSON = ("json", {})
SCHEMATIC = ("json_schema", {"schema": SCHEMA})

CASES: list[tuple[tuple[str, dict[str, Any]], str, str, str]] = [
    (LENGTH, "exception", "abc", "passed"),
    (LENGTH, "exception", "abcdef", "refused"),
    (LENGTH, "exception", "a", "refused"),
    (LENGTH, "reask", "abcdef", "refused"),
    (LENGTH, "noop", "abcdef", "flagged"),
    (LENGTH, "fix", "abcdef", "fixed"),
    (LENGTH, "exception", "äöü😀😀", "passed"),
    (BANNED, "exception", "open the door", "passed"),
    (BANNED, "exception", "please OPEN\u00a0 sesame!", "refused"),
    (BANNED, "exception", "o\u200bpen ses\u2060ame", "refused"),
    (BANNED, "exception", "ｏｐｅｎ sesame", "refused"),
    (BANNED, "exception", "in der STRASSE", "refused"),
    (BANNED, "exception", "badge", "passed"),
    (BANNED, "fix", "a bad day", "fixed"),
    (BANNED, "fix", "a b\u200bad day", "refused"),
    (COMPETITORS, "reask", "Buy at INITECH.", "refused"),
    (COMPETITORS, "reask", "Initechnology", "passed"),
    (COMPETITORS, "noop", "Acme Corp. is nice", "flagged"),
    (MATCHES, "exception", "call 555 now", "passed"),
    (MATCHES, "exception", "call me", "refused"),
    (MATCHES_NOT, "exception", "secret", "passed"),
    (MATCHES_NOT, "exception", "secret7", "refused"),
    (MATCHES_NOT, "fix", "the secret7", "fixed"),
    (("matches", {"pattern": SLOW}), "exception", SLOW_TEXT, "refused"),
    (("matches_not", {"pattern": SLOW}), "exception", SLOW_TEXT, "refused"),
    (JSON, "exception", '{"a": [1, null]}', "passed"),
    (JSON, "exception", "{", "refused"),
    (JSON, "exception", "NaN", "refused"),
    (JSON, "exception", "[" * 100_000, "refused"),
    (JSON, "exception", "1" * 5_000, "refused"),
    (SCHEMATIC, "reask", '{"city": "aaa"}', "passed"),
    (SCHEMATIC, "reask", '{"town": "aaa"}', "refused"),
    (SCHEMATIC, "reask", json.dumps({"city": SLOW_TEXT}), "refused"),
    (LENGTH, "exception", "", "refused"),
]

JUDGE = """
import json, sys
from guardrails_sidecar.configuration import Wanted
from guardrails_sidecar.guards import build
said = []
for (name, arguments), on_fail, text, _ in json.load(sys.stdin):
    guards = build({"input": (), "output": (Wanted("here", name, on_fail, arguments),)})
    said += guards["output"].check([text], 30)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def judged() -> list[dict[str, Any]]:
    """What the sidecar's code says of every case."""
    done = run_in_sidecar(JUDGE, CASES)
    assert done.returncode == 0, done.stderr
    said: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: f"{CASES[n][0][0]}-{CASES[n][1]}-{n}")
def test_validators_say_what_is_right(judged: list[dict[str, Any]], number: int) -> None:
    _, _, text, verdict = CASES[number]
    said = judged[number]
    assert said["verdict"] == verdict
    assert bool(said["reasons"]) is (verdict != "passed")
    assert all(len(reason) <= 300 and text not in reason for reason in said["reasons"] if len(text) > 1)


def test_a_fixed_text_is_without_what_was_wrong(judged: list[dict[str, Any]]) -> None:
    fixed = {case[0][0]: said["text"] for case, said in zip(CASES, judged, strict=True) if said["verdict"] == "fixed"}
    assert fixed == {"length": "abcde", "banned_words": "a [removed] day", "matches_not": "the [removed]"}


def test_what_there_is_no_time_for_is_said_to_be_late() -> None:
    late = JUDGE.replace("check([text], 30)", "check([text, text], 0.0)")
    done = run_in_sidecar(late, CASES[:1])
    said = json.loads(done.stdout.splitlines()[-1])
    assert [(each["verdict"], each["late"]) for each in said] == [("unseen", True)] * 2


GUARDS = """
[[input]]
validator = "length"
most = 20_000_000

[[input]]
validator = "banned_words"
words = ["forbidden"]

[[input]]
validator = "mine:Shouting"
on_fail = "noop"

[[output]]
validator = "mine:Broken"
"""

MINE = """
from guardrails.validator_base import FailResult, PassResult, Validator, register_validator


@register_validator(name="mine/shouting", data_type="string")
class Shouting(Validator):
    def _validate(self, value, metadata):
        return FailResult(error_message="is\\x1b[31m loud" * 100) if value.isupper() else PassResult()


@register_validator(name="mine/broken", data_type="string")
class Broken(Validator):
    def _validate(self, value, metadata):
        raise KeyError(value)
"""

WATCH = """sys.addaudithook(lambda event, given: event in (
    'socket.connect', 'socket.sendto', 'socket.getaddrinfo', 'socket.gethostbyname', 'urllib.Request'
) and print('CALLED', event, given[1:], file=sys.stderr, flush=True))"""


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SidecarProcess]:
    folder = tmp_path_factory.mktemp("sidecar")
    (folder / "mine.py").write_text(MINE)
    with sidecar_process(folder, GUARDS) as process:
        yield process


def test_every_validator_of_a_side_looks_in_its_order(sidecar: SidecarProcess) -> None:
    said = sidecar.validate("input", "Hello", "this is forbidden", "LOUD", "FORBIDDEN")
    assert [each["verdict"] for each in said] == ["passed", "refused", "flagged", "refused"]


def test_reasons_of_others_are_bounded_and_harmless_on_a_terminal(sidecar: SidecarProcess) -> None:
    [said] = sidecar.validate("input", "LOUD")
    [reason] = said["reasons"]
    assert len(reason) <= 300
    assert reason.isprintable()


def test_a_validator_with_a_bug_saw_nothing_and_the_next_text_is_looked_at(sidecar: SidecarProcess) -> None:
    [said] = sidecar.validate("output", "private words")
    assert (said["verdict"], said["late"]) == ("unseen", False)
    assert "private words" not in json.dumps(said)


@pytest.mark.parametrize(
    "text", ["\x00", "\ud83d\ude00", "\u202eevil\u202c", "a\u0301" * 1000, "  ", "\ufeff", "🏳️‍🌈" * 100]
)
def test_odd_texts_are_looked_at(sidecar: SidecarProcess, text: str) -> None:
    assert [said["verdict"] for said in sidecar.validate("input", text)] == ["passed"]


def test_ten_megabytes_are_looked_at(sidecar: SidecarProcess) -> None:
    texts = ["word " * 2_000_000, "word " * 2_000_000 + "forbidden"]
    assert [said["verdict"] for said in sidecar.validate("input", *texts)] == ["passed", "refused"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"guard": "input"}', b'{"guard": "else", "texts": [], "seconds": 1}',
             b'{"guard": "input", "texts": [1], "seconds": 1}', b'{"guard": "input", "texts": "a", "seconds": 1}']
)  # fmt: skip
def test_what_is_no_request_is_refused(sidecar: SidecarProcess, body: bytes) -> None:
    request = urllib.request.Request(f"{sidecar.url}/v1/validate", body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 400
    assert json.load(refused.value)["problem"]
    refused.value.close()


def test_nobody_is_called(tmp_path: Path) -> None:
    """Neither when guardrails-ai is imported, nor when it validates, nor when it ends: the process is watched."""
    guards = '[[input]]\nvalidator = "length"\nmost = 5\n\n[[output]]\nvalidator = "json"\non_fail = "reask"\n'
    with sidecar_process(tmp_path, guards, before=WATCH) as process:
        process.validate("input", "abc", "abcdef")
        process.validate("output", "{}", "{")
        open_sockets = connections_of(process.process.pid, int(process.url.rpartition(":")[2]))
        process.send(signal.SIGTERM)
        _, told = process.process.communicate(timeout=10)
        assert process.process.returncode == 0
    assert "CALLED" not in told
    assert open_sockets == []


def connections_of(pid: int, port: int) -> list[str]:
    """Where the process' sockets lead, but for those of its own port: also of sockets that Python knows nothing of."""
    inodes = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6", "udp", "udp6")]
    rows = [line.split() for table in tables for line in table]
    ours = [(row[1], row[2]) for row in rows if f"socket:[{row[9]}]" in inodes]
    return [there for here, there in ours if _port(here) != port and _port(there) != 0]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def test_the_watch_of_calls_would_see_one(tmp_path: Path) -> None:
    python = sidecar_python()
    call = "import socket; socket.socket().connect_ex(('127.0.0.1', 1))"
    done = subprocess.run([python, "-c", f"import sys; {WATCH}; {call}"], capture_output=True, text=True, check=True)
    assert "CALLED socket.connect" in done.stderr


WRONG = [
    ('[[input]]\nvalidator = "length"\nmots = 5', ["input[0]", "most"]),
    ('[[input]]\nvalidator = "length"\nmost = -1', ["input[0]", "most"]),
    ('[[input]]\nvalidator = "lenght"', ["input[0]", "length"]),
    ('[[input]]\nvalidator = "banned_words"\nwords = "a"', ["input[0]", "list"]),
    ('[[output]]\nvalidator = "nowhere:Mine"', ["output[0]", "nowhere"]),
    ('[[output]]\nvalidator = "json:dumps"', ["output[0]", "guardrails.Validator"]),
    ('[[input]]\nvalidator = "matches"\npattern = "("', ["input[0]", "regular expression"]),
    ('[[output]]\nvalidator = "json_schema"\nschema = {type = "x"}', ["output[0]", "JSON Schema"]),
    ('[[output]]\nvalidator = "json_schema"\nschema = {"$ref" = "http://127.0.0.1:1/x"}', ["output[0]", "$ref"]),
    ('[[output]]\nvalidator = "json_schema"\nschema = {pattern = "("}', ["output[0]", "regular expression"]),
]

EXPLAIN = """
import json, sys
from pathlib import Path
from guardrails_sidecar.configuration import ConfigurationProblem, read
from guardrails_sidecar.guards import build
told = []
for path in json.load(sys.stdin):
    try:
        build(read(Path(path)))
        told.append("")
    except ConfigurationProblem as problem:
        told.append(str(problem))
print(json.dumps(told))
"""


def test_a_wrong_configuration_is_told_with_its_place(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.toml" for number in range(len(WRONG))]
    for path, (guards, _) in zip(paths, WRONG, strict=True):
        path.write_text(guards)
    done = run_in_sidecar(EXPLAIN, [str(path) for path in paths])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for path, (_, named), problem in zip(paths, WRONG, told, strict=True):
        assert all(word in problem for word in (str(path), *named)), problem


def test_a_wrong_configuration_ends_the_process_with_its_own_status(tmp_path: Path) -> None:
    config = tmp_path / "guards.toml"
    config.write_text(WRONG[0][0])
    command = environment.start_command(sidecar_python(), config, "127.0.0.1", 0)
    surroundings = environment.start_environment(environment.place())
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=surroundings)
    assert (done.returncode, done.stdout) == (3, "")
    assert "input[0]" in done.stderr


def test_the_command_runs_it(tmp_path: Path) -> None:
    """The whole way: `synthralos guardrails` becomes the sidecar's process, which ends with SIGTERM."""
    sidecar_python()
    config = tmp_path / "guards.toml"
    config.write_text('[[input]]\nvalidator = "length"\nmost = 5\n')
    command = [sys.executable, "-m", "cli", "guardrails", "--port", "0"]
    around = {**os.environ, "GUARDRAILS_CONFIG": str(config), "OPENAI_API_KEY": "sk-ours"}
    with child(command, stdout=subprocess.PIPE, env=around) as process:
        assert process.stdout is not None
        assert "listens on http://127.0.0.1:" in process.stdout.readline()
        assert b"sk-ours" not in Path(f"/proc/{process.pid}/environ").read_bytes()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
