"""Dramatiq's process manager, with log lines of our form. `workers.process.run_workers` becomes this program."""

import sys

from dramatiq.cli import main

from synthralos.config.settings import load_settings
from synthralos.logs import log_as
from synthralos.open_files import allow_many_open_files
from synthralos.starting import import_in_peace


def manage() -> int:
    """Run the manager with the arguments of the command line; its exit code."""
    import_in_peace()  # each process inherits it, and imports all the rest
    log_as("worker-manager", load_settings())
    allow_many_open_files()
    exit_code: int = main()  # type: ignore[no-untyped-call]
    return exit_code


if __name__ == "__main__":
    sys.exit(manage())
