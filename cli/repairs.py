"""`synthralos repairs`: what StackStorm was asked to repair, over HTTP with the client that everybody uses."""

import json
from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.clients import client_of
from cli.job_files import given
from cli.options import Json, Url, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line, printable
from synthralos.domain.repairs import RepairKind, RepairState
from synthralos_client.models import parse_time

app = typer.Typer(
    no_args_is_help=True,
    help="Repairs by StackStorm: what heal and operators asked of it, and what came of that. The server is "
    "SYNTHRALOS_URL (or --url), the key SYNTHRALOS_API_KEY; asking for a repair needs the role operator.",
)


class Kind(StrEnum):
    """What may be asked for a job."""

    RETRY = "retry"
    REROUTE = "reroute"
    RECOVER = "recover"


@app.callback()
def connection(
    url: Url = None,
) -> None:
    """Options for all of these commands."""


@app.command("list")
def list_repairs(
    context: typer.Context,
    state: Annotated[RepairState | None, typer.Option(help="In this state.", show_default=False)] = None,
    kind: Annotated[RepairKind | None, typer.Option(help="Of this kind.", show_default=False)] = None,
    job: Annotated[str | None, typer.Option(help="Of this job.", show_default=False)] = None,
    run: Annotated[str | None, typer.Option(help="Of this run's jobs.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List repairs, newest first. `fell_back`: StackStorm did not repair it, and the built-in remedies went on.

    Example: `synthralos repairs list --state fell_back`
    """
    filters: dict[str, Any] = given({"state": state, "kind": kind, "job": job, "run": run})
    with client_of(context) as client:
        found = list(islice(client.repairs.list(page_size=min(limit, 200), **filters), limit))
    output(context, as_json).show({"repairs": found}, lambda: _table(found))


@app.command()
def show(
    context: typer.Context,
    repair_id: Annotated[str, typer.Argument(metavar="ID", help="The repair's id.")],
    as_json: Json = False,
) -> None:
    """Show what was asked for, StackStorm's execution, and what came of it."""
    with client_of(context) as client:
        found = client.repairs.get(repair_id)
    output(context, as_json).show(found, lambda: _whole(found))


@app.command()
def ask(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    kind: Annotated[Kind, typer.Option(help="Retry it, reroute it, or recover its run.")] = Kind.RETRY,
    pin: Annotated[str | None, typer.Option(help="Reroute: the one deployment for it.", show_default=False)] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Reroute: not to this one.", show_default=False)] = None,
    reason: Annotated[str, typer.Option(help="Why; it goes on record.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Ask StackStorm to repair a job, by the workflow of its pack. While a repair is open, that one is shown.

    Examples: `synthralos repairs ask JOB --reason 'the key was renewed'`,
    `synthralos repairs ask JOB --kind reroute --exclude openai/gpt-4.1@us`
    """
    options: dict[str, Any] = given(
        {"kind": str(kind), "pin": pin, "exclude": exclude or None, "reason": reason or None}
    )
    with client_of(context) as client:
        found = client.repairs.ask(job_id, **options)
    output(context, as_json).show(found, lambda: _whole(found))


def _table(found: Sequence[dict[str, Any]]) -> Listing:
    columns = (
        Column("id"), Column("kind"), Column("state"), Column("subject"), Column("failure"), Column("asked by"),
        Column("asked"), Column("outcome", cut=True),
    )  # fmt: skip
    rows = [
        [
            each["id"], each["kind"], each["state"], printable(each["subject"]), each["failure_class"],
            printable(each["asked_by"]), _at(each["asked_at"]), one_line(each["outcome"]),
        ]
        for each in found
    ]  # fmt: skip
    return Listing(columns, rows)


def _whole(repair: dict[str, Any]) -> Text:
    told = {
        "repair": f"{repair['kind']} by {repair['workflow']}", "state": repair["state"], "subject": repair["subject"],
        "run": repair["run_id"] or "", "failure": repair["failure_class"], "reason": repair["reason"],
        "asked": f"{_at(repair['asked_at'])} by {repair['asked_by']}", "until": _at(repair["until"]),
        "execution": repair["execution_id"] or "", "started": _at(repair["started_at"]),
        "acted": _at(repair["acted_at"]), "ended": _at(repair["ended_at"]), "outcome": repair["outcome"],
        "result": "" if repair["result"] is None else json.dumps(repair["result"], ensure_ascii=False),
    }  # fmt: skip
    return Text("\n".join(f"{name:<9} {printable(value)}" for name, value in told.items() if value))


def _at(text: str | None) -> str:
    moment = parse_time(text)
    return "" if moment is None else local(moment)
