"""How many functions of ours a bulk job has its worker call, without guards and with all of them.

A busy machine changes times and not that. The worker runs in this process, between the real servers. Libraries and
built-in functions are told apart from ours, and left out: some of them are called while nothing happens.
"""

import cProfile
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.processes import ROOT
from benchmarks.provider import catalog_file, nginx
from benchmarks.report import figure, table
from benchmarks.system import Shape, System, check_books, running
from benchmarks.throughput_guarded import GUARDS
from pipelines.providers.table import check_deployment
from synthralos.config.settings import load_settings
from synthralos.core import build_core
from workers.embedded import EmbeddedWorker

JOBS, JOBS_SMOKE = 5_000, 300
WARM_UP, WARM_UP_SMOKE = 1_000, 100

SLOTS = "300"
"""Counting makes calls slow: no more at once than a worker gets answered long before their time is over."""

_SHOWN = 20

Calls = Counter[str]
"""By the file of a function."""

_OTHERS = "(libraries and built-in functions)"


class Profiles:
    """Counts in each thread that starts while it is on."""

    def __init__(self) -> None:
        self._kept: list[cProfile.Profile] = []

    @contextmanager
    def on(self) -> Iterator[None]:
        """Threads that start now are counted until they end."""
        threading.setprofile(self._enter)
        try:
            yield
        finally:
            threading.setprofile(None)  # type: ignore[arg-type]  # that is how it is switched off

    def calls(self) -> Calls:
        """All calls until now."""
        found = Calls()
        for profile in list(self._kept):
            for entry in profile.getstats():
                found[_file(entry.code)] += entry.callcount
        return found

    def _enter(self, frame: FrameType, event: str, argument: object) -> None:
        """What a thread calls first; the profile takes this function's place there."""
        profile = cProfile.Profile()
        self._kept.append(profile)
        profile.enable()


def main(smoke: bool) -> None:
    """Without guards, and with those of `benchmarks.throughput_guarded`."""
    count, warm_up = (JOBS_SMOKE, WARM_UP_SMOKE) if smoke else (JOBS, WARM_UP)
    for name, guards in (("calls_per_job", dict[str, str]()), ("calls_per_job_guarded", GUARDS)):
        calls = _counted(count, warm_up, guards)
        rows = [[file, f"{called / count:.1f}"] for file, called in calls.most_common(_SHOWN)]
        table(f"{name}: calls by file", ["file", "calls/job"], rows)
        figure(name, (calls.total() - calls[_OTHERS]) / count, "calls")


def _counted(count: int, warm_up: int, guards: Mapping[str, str]) -> Calls:
    profiles = Profiles()
    with (
        nginx() as (base_url, _),
        catalog_file(base_url) as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape(0, 8), FLIGHT_SLOTS=SLOTS, **guards) as system,
        _worker(system, profiles),
    ):
        system.submit(warm_up)
        system.until_finished()
        before = profiles.calls()
        system.submit(count)
        system.until_finished()
        found = profiles.calls()
        check_books(system)
    found.subtract(before)
    return found


@contextmanager
def _worker(system: System, profiles: Profiles) -> Iterator[None]:
    """A worker in this process, with the settings of the system's processes."""
    os.environ.update(system.environment)
    core = build_core(load_settings(), check_deployment)
    try:
        with profiles.on():
            worker = EmbeddedWorker(core)
            worker.start()
            try:
                yield
            finally:
                worker.stop()
    finally:
        core.close()


def _file(code: CodeType | str) -> str:
    if isinstance(code, str) or not (path := Path(code.co_filename)).is_relative_to(ROOT):
        return _OTHERS
    inner = path.relative_to(ROOT)
    return _OTHERS if inner.parts[0].startswith(".") else str(inner)
