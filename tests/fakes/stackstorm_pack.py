"""The pack's actions and sensor, run as StackStorm runs them, on Python 3.8 where there is one."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.fakes.children import child

PACK = Path(__file__).resolve().parents[2] / "stackstorm"
EXECUTION = "6500aaaa0000bbbb1111cccc"
"""The id of an execution."""

_PROCESS = Path(__file__).with_name("stackstorm_process.py")


def oldest_python() -> str:
    """Python 3.8, which the pack is written for; else this one."""
    found = shutil.which("python3.8")
    # A name may be there and lead nowhere (pyenv's shims).
    if found and subprocess.run([found, "-c", "pass"], capture_output=True, check=False).returncode == 0:
        return found
    candidates = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python"))
    return str(candidates[-1]) if candidates else sys.executable


class StackStorm:
    """A process that runs what it is told to, with one configuration."""

    def __init__(self, process: "subprocess.Popen[str]", config: dict[str, Any]) -> None:
        self._process = process
        self.config = config
        self.values: dict[str, str] = {}
        """What the sensor keeps."""

    def run(self, action: str, **parameters: Any) -> dict[str, Any]:
        """The result of an action that succeeds."""
        answer = self.answer(action, **parameters)
        assert answer["status"] is True, answer["result"]
        result: dict[str, Any] = answer["result"]
        return result

    def fails(self, action: str, **parameters: Any) -> dict[str, Any]:
        """The error of an action that fails."""
        answer = self.answer(action, **parameters)
        assert answer["status"] is False, answer["result"]
        error: dict[str, Any] = answer["result"]["error"]
        return error

    def answer(self, action: str, execution: str = EXECUTION, **parameters: Any) -> dict[str, Any]:
        """The `status` and the `result` of an action."""
        return self._ask({"action": action, "config": self.config, "execution": execution, "parameters": parameters})

    def poll(self, failing: str = "") -> list[dict[str, Any]]:
        """The triggers that a sensor dispatches in its first poll; `failing`: the datastore's `reads` or `writes`."""
        answer = self._ask({"poll": self.config, "values": self.values, "failing": failing})
        self.values = answer["values"]
        triggers: list[dict[str, Any]] = answer["triggers"]
        return triggers

    def _ask(self, wanted: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def stackstorm(url: str, key: str, **config: Any) -> Iterator[StackStorm]:
    """A StackStorm whose pack is configured for that API."""
    chosen = {"url": url, "api_key": key, "connect_timeout": 5, "timeout": 30, "retries": 0, **config}
    command = [oldest_python(), "-W", "error", str(_PROCESS)]
    with child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield StackStorm(process, chosen)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=30)
