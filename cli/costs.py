"""`synthralos costs`: what was spent, by model, day, tenant and more, from a server."""

from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.options import Json, Url, output, utc
from cli.output import usd
from cli.tables import Column, Listing
from cli.texts import one_line
from synthralos_client import Client
from synthralos_client.spending import CostFilters

_FIGURES = (
    ("calls", "calls"),
    ("input", "input_tokens"),
    ("output", "output_tokens"),
    ("unknown", "unknown_cost_calls"),
    ("maybe", "maybe_billed_calls"),
)


def costs(
    context: typer.Context,
    by: Annotated[
        str,
        typer.Option(
            help="What to sum by, comma-separated: organization, workspace, user, model, deployment, provider, day, "
            "hour, stage, run, api_key, kind, basis, tag:NAME."
        ),
    ] = "model",
    since: Annotated[
        datetime | None, typer.Option(help="From this time on (UTC); else the last 30 days.", show_default=False)
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time (UTC).", show_default=False)] = None,
    organization: Annotated[str | None, typer.Option(show_default=False)] = None,
    workspace: Annotated[str | None, typer.Option(show_default=False)] = None,
    user: Annotated[str | None, typer.Option(show_default=False)] = None,
    model: Annotated[str | None, typer.Option(show_default=False)] = None,
    deployment: Annotated[str | None, typer.Option(show_default=False)] = None,
    provider: Annotated[str | None, typer.Option(show_default=False)] = None,
    run: Annotated[str | None, typer.Option(help="Of this run.", show_default=False)] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Of jobs submitted with the API key of this id.", show_default=False)
    ] = None,
    tag: Annotated[str | None, typer.Option(help="NAME=VALUE of the jobs' metadata.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many groups at most.")] = 10_000,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, for spreadsheets.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Sum up what calls took and cost.

    Examples: `synthralos costs --by model,day --since 2026-01-01`; `synthralos costs --by tag:project --csv`
    """
    given = {
        "since": utc(since), "until": utc(until), "organization": organization, "workspace": workspace, "user": user,
        "model": model, "deployment": deployment, "provider": provider, "run": run,
        "api_key": api_key, "tag": tag,
    }  # fmt: skip
    filters: CostFilters = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    groups = [name.strip() for name in by.split(",") if name.strip()]
    with Client(url) as client:
        found = list(islice(client.spending.costs(groups, **filters), limit))
    if as_csv:
        typer.echo(_csv(groups, found), nl=False)
        return
    output(context, as_json).show({"costs": found}, lambda: [_table(groups, found), _total(found)])


def _table(groups: list[str], found: list[dict[str, Any]]) -> Listing:
    figures = [Column(name, right=True) for name, _ in _FIGURES]
    columns = [*(Column(name) for name in groups), *figures, Column("cost", right=True)]
    return Listing(columns, [_row(groups, each) for each in found])


def _row(groups: list[str], each: dict[str, Any]) -> list[str]:
    named = [one_line(each["group"][name]) or "-" for name in groups]
    return [*named, *(f"{each[field]:,}" for _, field in _FIGURES), usd(Decimal(each["cost_usd"]))]


def _total(found: list[dict[str, Any]]) -> Text:
    cost = sum((Decimal(each["cost_usd"]) for each in found), Decimal(0))
    maybe = sum((Decimal(each["spent_maybe_usd"]) for each in found), Decimal(0))
    unknown = sum(each["unknown_cost_calls"] for each in found)
    parts = [f"{usd(cost)} in {sum(each['calls'] for each in found):,} calls"]
    if maybe:
        parts.append(f"{usd(maybe)} may have been billed besides, by calls whose end nobody saw")
    if unknown:
        parts.append(f"{unknown:,} calls cost what nobody knows")
    return Text("; ".join(parts))


def _csv(groups: list[str], found: list[dict[str, Any]]) -> str:
    """As the server writes it: what a spreadsheet would take for a formula has a quote in front."""
    import csv  # noqa: PLC0415 - only here
    import io  # noqa: PLC0415

    def cell(text: str) -> str:
        return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

    figures = [name for name in (found[0] if found else {}) if name != "group"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*map(cell, groups), *figures])
    for each in found:
        writer.writerow([*(cell(each["group"][name]) for name in groups), *(each[name] for name in figures)])
    return out.getvalue()
