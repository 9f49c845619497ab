"""CPU seconds (user and system) and memory of processes, from /proc."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psycopg

from benchmarks.processes import Child

_TICKS = os.sysconf("SC_CLK_TCK")

Gauge = Callable[[], float]


def family(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found = [pid]
    for each in found:
        found.extend(children[each])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """What the processes have used, with what their descendants had used that have ended."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) / _TICKS


def peak_memory_mb(pid: int) -> float:
    """The most memory (resident set) that any process of the family has had, in MB."""
    peaks = [0.0]
    for each in family(pid):
        status = Path(f"/proc/{each}/status").read_text()
        peaks += [int(line.split()[1]) / 1000 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


class Meter:
    """The CPU seconds of several components since it was made, or since `restart`."""

    def __init__(self, gauges: Mapping[str, Gauge]) -> None:
        self._gauges = gauges
        self.restart()

    def restart(self) -> None:
        """Count from now on."""
        self._began = {name: gauge() for name, gauge in self._gauges.items()}

    def read(self) -> dict[str, float]:
        """CPU seconds of each component until now."""
        return {name: gauge() - self._began[name] for name, gauge in self._gauges.items()}


def of_children(children: Iterable[Child]) -> dict[str, Gauge]:
    """A gauge for each child with its descendants."""
    return {each.name: _of_family(each.pid) for each in children}


def _of_family(pid: int) -> Gauge:
    return lambda: cpu_seconds(family(pid))


def of_rabbitmq() -> dict[str, Gauge]:
    """A gauge for RabbitMQ on this machine: all of it, so other users of it are in the figure too."""
    pids = [int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit() and _name(int(e.name)) == "beam.smp"]
    return {"RabbitMQ": lambda: cpu_seconds(pids)} if pids else {}


def of_postgresql(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, Gauge]:
    """Gauges for PostgreSQL on this machine: the backends of our database, and the background processes of all."""
    if _name(connection.info.backend_pid) != "postgres":
        return {}

    def gauge(condition: str) -> Gauge:
        query = f"SELECT pid FROM pg_stat_activity WHERE {condition} AND pid <> pg_backend_pid()"
        seen: set[int] = set()

        def read() -> float:
            seen.update(int(str(pid)) for (pid,) in connection.execute(query.encode()))
            return cpu_seconds(seen)

        return read

    return {
        "PostgreSQL backends": gauge("datname = current_database()"),
        "PostgreSQL background": gauge("backend_type <> 'client backend' AND datname IS NULL"),
    }


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
