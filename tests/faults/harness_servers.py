"""Servers of a test's own, which it may stop: a PostgreSQL cluster and a Redis. A missing program is an error."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.children import child
from tests.fakes.ports import free_port

_SETTINGS = "fsync=off\nmax_connections=200\nunix_socket_directories=''\n"


class Cluster:
    """A PostgreSQL cluster in a folder. `url` names its database `postgres`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._data = folder / "data"
        self._log = folder / "log"

    def make(self) -> None:
        """Initialize it."""
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "--no-sync")
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"{_SETTINGS}port={self.port}\n")

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", str(self._log))

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._data))

    def restart(self) -> None:
        """Stop it as a crash would, and start it again."""
        self._run("pg_ctl", "restart", "-w", "-m", "immediate", "-D", str(self._data), "-l", str(self._log))

    def _run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses to run as root.
        switch = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*switch, str(_postgresql(program)), *arguments]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd="/", check=False)
        assert done.returncode == 0, f"{program} failed ({done.returncode}); its log: {_text(self._log)}"


@contextmanager
def postgresql() -> Iterator[Cluster]:
    """A running cluster."""
    with tempfile.TemporaryDirectory(prefix="cluster-", dir="/tmp") as folder:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        cluster = Cluster(Path(folder))
        cluster.make()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The URL of a running Redis that keeps nothing on disk."""
    port = free_port()
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with (folder / "redis.log").open("w") as log, child(command, stdout=log, stderr=log) as process:
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _postgresql(program: str) -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}")) or [
        Path(path) for path in [shutil.which(program)] if path
    ]
    assert found, f"PostgreSQL's {program} is not installed"
    return found[-1]


def _text(path: Path) -> str:
    return path.read_text(errors="replace")[-1000:] if path.exists() else "none"
