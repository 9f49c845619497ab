"""Single-job POSTs/s that one API process answers 202, each durably committed, with no worker running."""

import json
import sys

from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.processes import child
from benchmarks.provider import catalog_file
from benchmarks.report import BenchmarkError, cpu_table, figure, percentile
from benchmarks.system import Shape, running

CONNECTIONS = 32
SECONDS, SECONDS_SMOKE = 15.0, 2.0
WARM_UP_SECONDS = 2.0

_NOBODY = "http://127.0.0.1:9/v1"
"""Where the catalog leads to: nothing is executed here."""


def main(smoke: bool) -> None:
    """A closed loop of 32 connections from a process of its own."""
    seconds = SECONDS_SMOKE if smoke else SECONDS
    with (
        catalog_file(_NOBODY) as catalog,
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape(worker_processes=0)) as system,
    ):
        command = [sys.executable, "-m", "benchmarks.accept_client", system.url, system.key]
        command += [str(CONNECTIONS), str(WARM_UP_SECONDS), str(seconds)]
        with child("client", command) as client:
            client.wait_for("warm")
            meter = system.meter(client)
            result = json.loads(client.wait_for("{"))
            used = meter.read()
        stored = int(system.number("SELECT count(*) FROM jobs"))
    if stored != result["all"]:
        raise BenchmarkError(f"{result['all']} jobs were accepted, {stored} are stored")
    count = len(result["times"])
    cpu_table("accept", used, result["seconds"], count, "POST")
    figure("accepted_per_s", count / result["seconds"], "jobs/s")
    figure("accept_p99_ms", 1000 * percentile(result["times"], 99), "ms")
