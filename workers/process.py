"""Worker processes under Dramatiq's own process manager."""

import os
import sys
from typing import NoReturn

from pipelines.providers.table import check_catalog
from synthralos.config.catalog import load_catalog
from synthralos.config.settings import Settings
from synthralos.telemetry.serving import check_ports


def run_workers(settings: Settings) -> NoReturn:
    """Be Dramatiq's process manager with the processes and threads that the settings ask for, until they end.

    The settings themselves reach the processes through the environment. Ends the program. Raises `CatalogError`, and
    `PortTaken` for the metrics, here, where one line can say it, rather than in each process.
    """
    if settings.embedded:
        raise ValueError("BROKER_URL is memory://, which reaches no other process: run `synthralos up` instead")
    check_catalog(load_catalog(settings.catalog_file))
    check_ports(settings.metrics_host, settings.metrics_ports(settings.worker_processes))
    # Dramatiq reads these at import. Prefetch hoards messages that other workers could take; Redis is
    # polled at this interval; a cut connection is tried again after this delay (milliseconds).
    os.environ.setdefault("dramatiq_queue_prefetch", str(settings.worker_threads))
    os.environ.setdefault("dramatiq_worker_timeout", "1000" if settings.brokerless else "100")
    os.environ.setdefault("dramatiq_restart_delay", "500")
    from workers.manager import manage  # noqa: PLC0415 - Dramatiq, for which the environment had to be set

    sys.exit(manage(settings))
