"""Real processes of a `Site`: started like a supervisor starts them, and ended by real signals."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import sqlalchemy as sa

from synthralos.store.tables import processes
from tests.fakes.plain_http import NO_TLS

if TYPE_CHECKING:
    from tests.faults.harness import Site

ROOT = Path(__file__).resolve().parents[2]
_RUN = "from {settings} import load_settings; from {module} import {function}; {function}(load_settings())"


class Release(NamedTuple):
    """Which code a process runs: the root of its source, and the module of its settings."""

    root: Path = ROOT
    settings: str = "synthralos.config.settings"

    def python(self, module: str, function: str) -> list[str]:
        """The command that runs a function of it with the settings of the environment."""
        return [sys.executable, "-c", _RUN.format(settings=self.settings, module=module, function=function)]

    def environment(self) -> dict[str, str]:
        """What has Python find this code before any that is installed."""
        return {} if self.root == ROOT else {"PYTHONPATH": f"{self.root}:{self.root / 'client'}"}


THIS = Release()


class Process:
    """A process group of its own, with its output in a file."""

    def __init__(
        self, site: "Site", name: str, command: list[str], environment: dict[str, str], release: Release = THIS
    ) -> None:
        self.site = site
        self.name = name
        self._command = command
        self._root = release.root
        self._environment = {**_outer_environment(), **release.environment(), **environment}
        self.log = site.folder / f"{name}-{id(self):x}.log"
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started, which may be a master of others."""
        assert self.popen is not None
        return self.popen.pid

    def runs(self) -> bool:
        """Whether it is still the process that was started."""
        return self.popen is not None and self.popen.poll() is None

    def start(self) -> None:
        """Start it (again)."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                self._command, cwd=self._root, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started."""
        os.kill(self.pid, number)

    def terminate(self, timeout: float = 60.0) -> int:
        """SIGTERM, and wait for its end; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for its end; the exit code."""
        assert self.popen is not None
        return self.popen.wait(timeout)

    def kill(self) -> None:
        """kill -9 the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def close(self) -> None:
        """Gone, whatever state it is in."""
        if self.popen is not None:
            self.kill()

    def resources(self) -> dict[str, int]:
        """The threads, the file descriptors and the megabytes of the process that does the work."""
        folder = Path(f"/proc/{self.child()}")
        counts = {kind: len(list((folder / kind).iterdir())) for kind in ("task", "fd")}
        pages = int((folder / "statm").read_text().split()[1])
        return {**counts, "mb": pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000}

    def child(self) -> int:
        """The pid of the process that does the work."""
        return self.pid

    def check_leaks(self, before: dict[str, int], pooled: int = 0, grown_mb: int = 100) -> None:
        """Assert that it holds no more than `before`, but for up to `pooled` idle connections to the provider."""
        now = self.resources()
        assert now["task"] <= before["task"] + 5, f"threads: {before} {now}"
        assert now["fd"] <= before["fd"] + pooled + 20, f"files: {before} {now}"
        assert now["mb"] <= before["mb"] + grown_mb, f"memory: {before} {now}"

    def tail(self, characters: int = 3000) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def row(self) -> Any:
        """Its newest row in the processes table, once it has one."""
        return self.site.eventually(self._row, f"{self.name} has registered")

    def _row(self) -> Any:
        query = sa.select(processes).where(processes.c.state != "stopped").order_by(processes.c.id)
        mine = [row for row in self.site.query(query) if _in_group(row.pid, self.pid)]
        return mine[-1] if mine else None


class Worker(Process):
    """`synthralos worker` with one process. Its master ends when that process is killed."""

    def __init__(self, site: "Site", environment: dict[str, str], release: Release = THIS) -> None:
        super().__init__(site, "worker", release.python("workers.process", "run_workers"), environment, release)
        self._starts = 0
        self._supervisor: threading.Thread | None = None
        self._supervising = threading.Event()

    def start(self) -> None:
        """Start it (again)."""
        self._starts += 1
        super().start()

    def worker_id(self) -> str:
        """Its identity in the database."""
        worker_id: str = self.row().id
        return worker_id

    def child(self) -> int:
        """The pid of the process that holds jobs."""
        pid: int = self.row().pid
        return pid

    def kill(self) -> None:
        """kill -9 the process that holds jobs. Its master notices, and ends."""
        pid = self.child()
        # Before it has seen its process boot, Dramatiq's master would leave it a zombie for half a minute.
        self.site.eventually(lambda: self._boots() >= self._starts, "the master has seen its process boot")
        _kill_and_see_it_die(pid)

    def signal_child(self, number: signal.Signals) -> None:
        """Send a signal to the process that holds jobs."""
        os.kill(self.child(), number)

    def supervise(self) -> None:
        """Start it again whenever it ends, like systemd would, until `close`."""
        self._supervising.set()
        self._supervisor = threading.Thread(target=self._restart, name="supervisor")
        self._supervisor.start()

    def close(self) -> None:
        """Gone, and not started again."""
        self._supervising.clear()
        if self.popen is not None:
            Process.kill(self)
        if self._supervisor is not None:
            self._supervisor.join()
            Process.kill(self)

    def _boots(self) -> int:
        return self.log.read_text(errors="replace").count("is booting up")

    def _restart(self) -> None:
        while self._supervising.is_set():
            self.wait(3600)
            if self._supervising.is_set():
                self.start()


class Scheduler(Process):
    """`synthralos scheduler`."""

    def __init__(self, site: "Site", environment: dict[str, str], release: Release = THIS) -> None:
        super().__init__(site, "scheduler", release.python("scheduler.process", "run_scheduler"), environment, release)


class Exporter(Process):
    """`synthralos exporter`."""

    def __init__(self, site: "Site", environment: dict[str, str], release: Release = THIS) -> None:
        super().__init__(
            site, "exporter", release.python("workers.exporter_process", "run_exporter"), environment, release
        )


class Api(Process):
    """`synthralos api`."""

    def __init__(self, site: "Site", environment: dict[str, str], release: Release = THIS) -> None:
        super().__init__(site, "api", release.python("api.process", "run_api"), environment, release)
        self.url = f"http://127.0.0.1:{environment['PORT']}"

    def ready(self) -> None:
        """Wait until it answers."""
        self.site.eventually(self._answers, "the API answers")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live", timeout=30.0, verify=NO_TLS).status_code == 200
        except httpx.TransportError:
            return False


class Embedded(Process):
    """The whole system in one process, as `synthralos up` runs it."""

    def __init__(self, site: "Site", environment: dict[str, str]) -> None:
        super().__init__(site, "embedded", [sys.executable, "-m", "tests.faults.harness_embedded"], environment)
        self._starts = 0

    def start(self) -> None:
        """Start it (again)."""
        self._starts += 1
        super().start()

    def client(self) -> httpx.Client:
        """A client with an admin key of its own, once it serves."""
        told = self.site.eventually(self._told, "the embedded system serves")
        return httpx.Client(
            verify=NO_TLS, base_url=told["url"], headers={"Authorization": f"Bearer {told['key']}"}, timeout=30.0
        )

    def _told(self) -> dict[str, str] | None:
        """What it printed when it had started, and nothing before that."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith('{"url"')]
        told: dict[str, str] | None = json.loads(lines[-1]) if len(lines) == self._starts else None
        return told


def _outer_environment() -> dict[str, str]:
    """What a process needs of ours, and no setting."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def _kill_and_see_it_die(pid: int) -> None:
    """Returns when the process runs no more, whether or not its parent has taken notice."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [])
    finally:
        os.close(handle)
