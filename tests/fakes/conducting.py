"""StackStorm's workflow engine in an environment of its own, `.venv-orquesta`, made once from its lock file."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.children import child

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "orquesta"
LOCK = HERE / "requirements.lock"
FOLDER = ROOT / ".venv-orquesta"

MAKING_TIMES_OUT = pytest.mark.timeout(300)
"""For tests that may be the first to make the environment."""


def orquesta_python() -> Path:
    """The interpreter of the environment. Without a network the test is skipped, except in CI."""
    python, stamp = FOLDER / "bin" / "python", FOLDER / "complete"
    made_of = sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        # Processes that want it at once wait for one another.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != made_of:
            install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)]
            for command in ([sys.executable, "-m", "venv", str(FOLDER)], install):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    assert not os.environ.get("CI"), done.stderr
                    pytest.skip(f"orquesta cannot be installed: {done.stderr[-500:]}")
            stamp.write_text(made_of)
    return python


class Engine:
    """Conducts workflows of the pack."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def conduct(self, workflow: str, inputs: dict[str, Any], **answers: list[Any]) -> dict[str, Any]:
        """What becomes of a workflow by its text; `answers` by action: (succeeded, result), each time that it runs."""
        by_ref = {
            f"{'core' if name == 'announcement' else 'synthralos'}.{name}": given for name, given in answers.items()
        }
        wanted = {"workflow": workflow, "inputs": inputs, "answers": by_ref}
        return self._ask(wanted)

    def render(self, template: str, **values: Any) -> tuple[str, list[str]]:
        """A chat message, and the variables that its template names."""
        found = self._ask({"template": template, "values": values})
        return found["text"], found["names"]

    def _ask(self, wanted: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process ended"
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def engine() -> Iterator[Engine]:
    """The engine, running."""
    command = [str(orquesta_python()), "-s", "-P", str(HERE / "conduct.py")]
    with child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Engine(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=30)
