"""Dramatiq's process manager, with log lines of our form."""

import gc
import importlib
import multiprocessing

from dramatiq.cli import main, make_argument_parser

from synthralos.config.settings import Settings
from synthralos.logs import log_as
from synthralos.open_files import allow_many_open_files
from synthralos.starting import import_in_peace

_BOOT = "workers.boot"


def manage(settings: Settings) -> int:
    """Run the worker processes of the settings until they end; the exit code."""
    import_in_peace()  # each process inherits it
    log_as("worker-manager", settings)
    allow_many_open_files()
    _import_for_all()
    exit_code: int = main(make_argument_parser().parse_args(_arguments(settings)))  # type: ignore[no-untyped-call]
    return exit_code


def _import_for_all() -> None:
    """Import what the processes run, once: they are forks, and share the time that it takes, and the memory."""
    if multiprocessing.get_start_method() == "fork":
        importlib.import_module(_BOOT)
        gc.freeze()


def _arguments(settings: Settings) -> list[str]:
    shutdown = int((settings.drain_timeout + 15) * 1000)
    return [
        f"{_BOOT}:boot",
        # Folders named `workers`, `api`, `cli` where this is started are not ours.
        "--path",
        "--processes", str(settings.worker_processes),
        # Where the database rings, another part of the worker has the threads, and these find nothing to do.
        "--threads", str(1 if settings.brokerless else settings.worker_threads),
        "--worker-shutdown-timeout", str(shutdown),
        "--skip-logging",
    ]  # fmt: skip
