"""`synthralos metrics`, `synthralos errors` and `synthralos demand`: what jobs come to, and what is open."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from cli.options import Json, Url, output, utc
from cli.output import usd
from cli.tables import Column, Listing
from cli.texts import one_line
from synthralos_client import Client
from synthralos_client.observing import ErrorFilters, MetricsFilters

Since = Annotated[datetime | None, typer.Option(help="From this time on (UTC); else the last day.", show_default=False)]
Until = Annotated[datetime | None, typer.Option(help="Before this time (UTC).", show_default=False)]


def metrics(
    context: typer.Context,
    by: Annotated[
        str,
        typer.Option(
            help="What to sum by, comma-separated: organization, workspace, model, deployment, state, failure_class, "
            "stage, minute, hour, day."
        ),
    ] = "state",
    since: Since = None,
    until: Until = None,
    organization: Annotated[str | None, typer.Option(show_default=False)] = None,
    workspace: Annotated[str | None, typer.Option(show_default=False)] = None,
    model: Annotated[str | None, typer.Option(show_default=False)] = None,
    deployment: Annotated[str | None, typer.Option(show_default=False)] = None,
    state: Annotated[str | None, typer.Option(show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many groups at most.")] = 1_000,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Sum up what finished: how many, how long it took, how long it waited, what it cost.

    By stage: what jobs did there, and how much of it failed.

    Examples: `synthralos metrics --by model`; `synthralos metrics --by hour,state --since 2026-05-01`;
    `synthralos metrics --by stage`
    """
    given = {
        "since": utc(since), "until": utc(until), "organization": organization, "workspace": workspace,
        "model": model, "deployment": deployment, "state": state, "limit": limit,
    }  # fmt: skip
    filters: MetricsFilters = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    groups = [name.strip() for name in by.split(",") if name.strip()]
    with Client(url) as client:
        found = client.observability.metrics(groups, **filters)
    output(context, as_json).show(found, lambda: [_metrics(groups, found["groups"])])


def errors(
    context: typer.Context,
    since: Since = None,
    until: Until = None,
    organization: Annotated[str | None, typer.Option(show_default=False)] = None,
    failure: Annotated[str | None, typer.Option(help="Of this class.", show_default=False)] = None,
    deployment: Annotated[str | None, typer.Option(show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many groups at most.")] = 50,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Group what went wrong by class, deployment and message, the most first.

    Example: `synthralos errors --since 2026-05-01 --deployment openai/gpt-4o@us`
    """
    given = {
        "since": utc(since), "until": utc(until), "organization": organization, "failure_class": failure,
        "deployment": deployment, "limit": limit,
    }  # fmt: skip
    filters: ErrorFilters = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    with Client(url) as client:
        found = client.observability.errors(**filters)
    output(context, as_json).show(found, lambda: [_errors(found["errors"])])


def demand(
    context: typer.Context,
    stage: Annotated[str | None, typer.Option(help="Of this stage.", show_default=False)] = None,
    lane: Annotated[str | None, typer.Option(help="Of this lane.", show_default=False)] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Tell how much work is open, by stage, lane and deadline. Needs a key of the whole installation.

    Example: `synthralos demand --lane interactive --json`
    """
    with Client(url) as client:
        found = client.observability.demand(stage, lane)
    output(context, as_json).show(found, lambda: [_demand(found["queues"])])


def _metrics(groups: list[str], found: list[dict[str, Any]]) -> Listing:
    of_stages = "stage" in groups
    names = _STAGE_COLUMNS if of_stages else _COLUMNS
    columns = [*(Column(name) for name in groups), *(Column(name, right=True) for name in names)]
    return Listing(columns, [(_stage_row if of_stages else _metrics_row)(groups, each) for each in found])


_COLUMNS = ("jobs", "calls", "p50", "p95", "p99", "wait p95", "input", "output", "cost")
_STAGE_COLUMNS = ("jobs", "visits", "failed", "p50", "p95", "p99", "total")


def _stage_row(groups: list[str], each: dict[str, Any]) -> list[str]:
    took = each["visit_seconds"]
    seconds = [_seconds(value) for value in (took["p50"], took["p95"], took["p99"], each["total_seconds"])]
    counts = [f"{each[name]:,}" for name in ("jobs", "visits", "failed_visits")]
    return [*(one_line(each["group"][name]) or "-" for name in groups), *counts, *seconds]


def _metrics_row(groups: list[str], each: dict[str, Any]) -> list[str]:
    took, waited = each["duration_seconds"], each["wait_seconds"]
    seconds = [_seconds(value) for value in (took["p50"], took["p95"], took["p99"], waited["p95"])]
    tokens = [f"{each[name]:,}" for name in ("input_tokens", "output_tokens")]
    named = [one_line(each["group"][name]) or "-" for name in groups]
    return [*named, f"{each['jobs']:,}", f"{each['calls']:,}", *seconds, *tokens, usd(Decimal(each["cost_usd"]))]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} s" if value >= 10 else f"{value:.3f} s"


def _errors(found: list[dict[str, Any]]) -> Listing:
    columns = [Column("count", right=True), Column("class"), Column("deployment"), Column("last"), Column("message")]
    rows = [
        [
            f"{each['count']:,}",
            each["class"],
            one_line(each["deployment"] or "-"),
            each["last_seen_at"][:19].replace("T", " "),
            one_line(each["message"]),
        ]
        for each in found
    ]
    return Listing(columns, rows)


def _demand(found: list[dict[str, Any]]) -> Listing:
    windows = [f"due {_short(each['within_seconds'])}" for each in (found[0]["due"] if found else [])]
    heads = ("queued", "active", "oldest", *windows)
    columns = [Column("stage"), Column("lane"), *(Column(name, right=True) for name in heads)]
    rows = [
        [
            each["stage"],
            each["lane"],
            f"{each['queued']:,}",
            f"{each['active']:,}",
            f"{each['oldest_seconds']:,.0f} s",
            *(f"{window['jobs']:,}" for window in each["due"]),
        ]
        for each in found
    ]
    return Listing(columns, rows)


def _short(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"
