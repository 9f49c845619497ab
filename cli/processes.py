"""`synthralos api | worker | scheduler | exporter`: one process of its own each, for systems of several."""

import typer

from cli.exits import Exit
from cli.options import Host, Port, settings
from synthralos.config.settings import Settings


def api(host: Host = None, port: Port = None) -> None:
    """Run the HTTP API. Its metrics are at /metrics, for a key of the whole installation, and on METRICS_PORT.

    Example: `DATABASE_URL=postgresql://… BROKER_URL=amqp://… synthralos api --port 8080`
    """
    chosen = settings(host=host, port=port)
    from api.process import run_api  # noqa: PLC0415 - only this command needs the web server

    run_api(chosen)


def worker() -> None:
    """Run worker processes under Dramatiq's process manager (WORKER_PROCESSES, WORKER_THREADS, WORKER_STAGES).

    METRICS_PORT is the first of as many ports as there are processes, where each shows its metrics to Prometheus.

    Example: `BROKER_URL=amqp://… DATABASE_URL=postgresql://… WORKER_PROCESSES=4 synthralos worker`
    """
    chosen = _shared_broker(settings())
    from workers.process import run_workers  # noqa: PLC0415 - only this command needs the worker

    run_workers(chosen)


def scheduler() -> None:
    """Run a scheduler process; run two, and one takes over when the other stops. METRICS_PORT shows its metrics.

    Example: `BROKER_URL=amqp://… DATABASE_URL=postgresql://… synthralos scheduler`
    """
    chosen = settings()
    from scheduler.process import run_scheduler  # noqa: PLC0415 - only this command needs the scheduler

    run_scheduler(chosen)


def exporter() -> None:
    """Run an exporter: ships finished traces to the destinations of the settings, so that workers need not.

    Run several, and each destination is one's at a time. METRICS_PORT shows its metrics.

    Example: `DATABASE_URL=postgresql://… OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 synthralos exporter`
    """
    chosen = settings()
    from workers.exporter_process import run_exporter  # noqa: PLC0415 - only this command needs the exporters

    run_exporter(chosen)


def _shared_broker(chosen: Settings) -> Settings:
    if chosen.embedded:
        typer.echo(
            "synthralos: BROKER_URL is memory://, which reaches no other process: set it to amqp://…, redis://… or "
            "postgresql://, or run everything in one process with `synthralos up`",
            err=True,
        )
        raise typer.Exit(Exit.SETTING)
    return chosen
