"""The `synthralos` command, put together. Each group of commands has a file; heavy imports wait until they run."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from cli import (
    aliases,
    audit,
    breakers,
    budgets,
    check,
    costs,
    credentials,
    dead_letters,
    demo,
    deployments,
    doctor,
    erase,
    events,
    exports,
    flags,
    guardrails,
    incidents,
    jobs,
    keys,
    ledger,
    limits,
    metrics,
    migrate,
    models,
    organizations,
    policies,
    processes,
    quotas,
    repairs,
    retention,
    route,
    runs,
    schedules,
    status,
    traces,
    up,
    waits,
    webhooks,
)  # fmt: skip
from cli.exits import epilog
from cli.options import Json
from cli.output import Output
from synthralos.starting import import_in_peace

app = typer.Typer(
    name="synthralos",
    help="LLM work as durable jobs: guarded, routed, executed, healed, priced and traced.\n\n"
    "`synthralos up` starts everything in one process and prints an address and a key; "
    "`synthralos demo` shows what it does with 200 prompts.",
    epilog=epilog(),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.command()(demo.demo)
app.add_typer(jobs.app, name="jobs")
app.add_typer(route.app, name="route")
app.add_typer(keys.app, name="keys")
app.add_typer(organizations.app, name="organizations")
app.add_typer(flags.app, name="flags")
app.add_typer(limits.app, name="limits")
app.add_typer(retention.app, name="retention")
app.add_typer(erase.app, name="erase")
app.add_typer(deployments.app, name="deployments")
app.add_typer(aliases.app, name="aliases")
app.add_typer(breakers.app, name="breakers")
app.add_typer(credentials.app, name="credentials")
app.add_typer(quotas.app, name="quotas")
app.add_typer(budgets.app, name="budgets")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(incidents.app, name="incidents")
app.add_typer(runs.app, name="runs")
app.add_typer(waits.app, name="waits")
app.add_typer(repairs.app, name="repairs")
app.add_typer(traces.app, name="traces")
app.add_typer(events.app, name="events")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(exports.app, name="exports")
app.add_typer(policies.app, name="policies")
app.add_typer(schedules.app, name="schedules")
app.add_typer(ledger.app, name="ledger")
app.add_typer(migrate.app, name="migrate")
app.command()(processes.api)
app.command()(processes.worker)
app.command()(processes.scheduler)
app.command()(processes.exporter)
app.command()(guardrails.guardrails)
app.command()(check.check)
app.command()(status.status)
app.command()(models.models)
app.command()(costs.costs)
app.command()(metrics.metrics)
app.command()(metrics.errors)
app.command()(metrics.demand)
app.command()(audit.audit)
app.command()(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"synthralos {metadata.version('synthralos')}")
        raise typer.Exit


@app.callback()
def everywhere(
    as_json: Json = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options that go before any command."""


def run() -> None:
    """Run the command; expected errors end it with one line on standard error and an exit code."""
    import_in_peace()
    try:
        app()
    except Exception as error:
        from cli.errors import explain  # noqa: PLC0415 - imports the database layer, only to explain its errors

        told = explain(error)
        if told is None:
            raise
        out = Output(as_json=False)
        for line in told.line.splitlines():
            out.warn(f"synthralos: {line}")
        sys.exit(told.code)
