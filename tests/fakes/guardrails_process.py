"""The real sidecar of guardrails-ai: its environment by the command's own code, and its process to be ill-treated."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from guardrails_sidecar import environment

MAKING_TIMES_OUT = pytest.mark.timeout(900)
"""For tests that may be the first to make the environment."""


def sidecar_python() -> Path:
    """The interpreter of the sidecar's environment. Without a network the test is skipped, except in CI."""
    try:
        return environment.make(environment.place(), lambda _: None)
    except environment.EnvironmentProblem as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(problem))


def run_in_sidecar(code: str, told: Any = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run Python in the sidecar's environment, our package importable, `told` as JSON on its standard input."""
    python = sidecar_python()
    return subprocess.run(
        [str(python), "-s", "-P", "-c", _IMPORTABLE + code],
        input=json.dumps(told), text=True, capture_output=True, timeout=600, check=False,
        env=environment.start_environment(environment.place()), **more,
    )  # fmt: skip


_IMPORTABLE = f"""
import runpy
runpy.run_path({str(environment.HERE / "launch.py")!r}, run_name="launch")["load_package"]()
"""


class SidecarProcess:
    """A sidecar that runs `guards` (TOML). `before` is Python that its process runs first."""

    def __init__(self, folder: Path, guards: str, *, before: str = "") -> None:
        self.folder = folder
        self._python = sidecar_python()
        self._config = folder / "guards.toml"
        self._config.write_text(guards, encoding="utf-8")
        self._before = before
        self.url = "http://127.0.0.1:0"
        self.start()

    def start(self) -> None:
        """Start it, or start it again where it was before."""
        port = int(self.url.rpartition(":")[2])
        python, *options = environment.start_command(self._python, self._config, "127.0.0.1", port)
        if self._before:
            script = options.index(str(environment.HERE / "launch.py"))
            run = f"import runpy, sys; {self._before}; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
            options[script:script] = ["-c", run]
        surroundings = environment.start_environment(environment.place())
        self.process = subprocess.Popen(
            [python, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://[\d.:]+", line)
        if found is None:
            _, told = self.process.communicate()
            raise AssertionError(f"the sidecar did not start: {line}{told}")
        self.url = found[0]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it, and wait for its end."""
        self.process.kill()
        self.process.communicate()

    def stop(self) -> None:
        """Let it hang: it takes connections, and answers nothing."""
        self.send(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on where it hangs; start it where it was killed."""
        self.send(signal.SIGCONT)
        if self.process.poll() is not None:
            self.start()

    def validate(self, guard: str, *texts: str) -> list[dict[str, Any]]:
        """What it says of the texts."""
        body = json.dumps({"guard": guard, "texts": texts, "seconds": 10}).encode()
        request = urllib.request.Request(f"{self.url}/v1/validate", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            results: list[dict[str, Any]] = json.load(answer)["results"]
        return results


@contextmanager
def sidecar_process(folder: Path, guards: str, *, before: str = "") -> Iterator[SidecarProcess]:
    """A sidecar that listens; it is killed at the end."""
    sidecar = SidecarProcess(folder, guards, before=before)
    try:
        yield sidecar
    finally:
        sidecar.kill()
