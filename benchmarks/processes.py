"""Children of a benchmark: each is started in a process group of its own, which does not outlive the benchmark."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.report import BenchmarkError, say
from synthralos.config.settings import Settings

ROOT = Path(__file__).resolve().parents[1]

_GRACE = 5.0
_LOG_LINES = 30


class Child:
    """A process with its descendants. `name` is what tables call it."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    @property
    def alive(self) -> bool:
        """Whether the first process of the group still runs."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Signal the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def stop(self, grace: float) -> None:
        """Ask the first process to end the others and itself; after `grace` seconds, end the group."""
        if grace:
            self.signal(signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        self.signal(signal.SIGKILL)
        self._process.wait()

    def wait_for(self, beginning: str, patience: float = 120.0) -> str:
        """The first line that it writes with this beginning; raises `BenchmarkError` when none comes."""

        def line() -> str | None:
            lines = self._log.read_text(errors="replace").split("\n")[:-1]
            return next((each for each in lines if each.startswith(beginning)), None)

        wait_until(lambda: line() is not None or not self.alive, f"{self.name} to say {beginning!r}", [], patience)
        if (found := line()) is None:
            raise BenchmarkError(f"{self.name} ended without saying {beginning!r}")
        return found

    def last_words(self) -> str:
        """The end of what it wrote."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {self.name}: {line}" for line in lines[-_LOG_LINES:])


@contextlib.contextmanager
def child(name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Start `command` from the root of the project; stop it with everything it started at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=clean_environment() | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        started = Child(name, process, log)
        try:
            yield started
        except BaseException:
            started.stop(0)
            if words := started.last_words():
                say(words)
            raise
        started.stop(_GRACE)


def python(code: str) -> list[str]:
    """The command that runs `code` with this interpreter."""
    return [sys.executable, "-c", code]


def clean_environment() -> dict[str, str]:
    """The environment without settings of ours, so that nobody's own settings change a figure."""
    ours = set(Settings.model_fields)
    return {name: value for name, value in os.environ.items() if name.lower() not in ours}


def wait_until(ready: Callable[[], bool], what: str, children: Sequence[Child], patience: float = 60.0) -> None:
    """Look every 50 ms until `ready`; raises `BenchmarkError` when a child dies or `patience` seconds are over."""
    deadline = time.monotonic() + patience
    while not ready():
        for each in children:
            if not each.alive:
                raise BenchmarkError(f"{each.name} ended while waiting for {what}")
        if time.monotonic() > deadline:
            raise BenchmarkError(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(0.05)
