"""`synthralos waits`: what waits for an approval or a signal, over HTTP with the client that everybody uses."""

import json
from collections.abc import Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.clients import client_of
from cli.exits import Exit
from cli.job_files import given
from cli.options import Json, Url, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line, printable
from synthralos.domain.waits import WaitKind, WaitState
from synthralos_client.models import parse_time

app = typer.Typer(
    no_args_is_help=True,
    help="Wait points: jobs and runs that wait for an approval or a signal. The server is SYNTHRALOS_URL (or --url), "
    "the key SYNTHRALOS_API_KEY; answering needs the role operator.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The wait point's id.")]


class Said(StrEnum):
    """What may be said to a wait point."""

    APPROVE = "approve"
    DENY = "deny"
    SIGNAL = "signal"


@app.callback()
def connection(
    url: Url = None,
) -> None:
    """Options for all of these commands."""


@app.command("list")
def list_waits(
    context: typer.Context,
    state: Annotated[WaitState | None, typer.Option(help="In this state.", show_default=False)] = None,
    kind: Annotated[WaitKind | None, typer.Option(help="Of this kind.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option(help="Of this approver or signal.", show_default=False)] = None,
    job: Annotated[str | None, typer.Option(help="Of this job.", show_default=False)] = None,
    run: Annotated[str | None, typer.Option(help="Of this run, and of its jobs.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List wait points, newest first.

    Example: `synthralos waits list --state open`
    """
    filters: dict[str, Any] = given({"state": state, "kind": kind, "name": name, "job": job, "run": run})
    with client_of(context) as client:
        found = list(islice(client.waits.list(page_size=min(limit, 200), **filters), limit))
    output(context, as_json).show({"waits": found}, lambda: _table(found))


@app.command()
def show(context: typer.Context, wait_id: Id, as_json: Json = False) -> None:
    """Show what is asked, until when, and what was answered by whom."""
    with client_of(context) as client:
        found = client.waits.get(wait_id)
    output(context, as_json).show(found, lambda: _whole(found))


@app.command()
def answer(
    context: typer.Context,
    wait_id: Id,
    said: Annotated[Said, typer.Argument(metavar="approve|deny|signal", help="The answer.")],
    payload: Annotated[str | None, typer.Option(help="A signal's payload: a JSON object.", show_default="{}")] = None,
    comment: Annotated[str, typer.Option(help="Why; it goes on record.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Answer a wait point: its job goes on where it stopped, or is denied. The same answer again changes nothing.

    Examples: `synthralos waits answer ID approve --comment 'seen by legal'`,
    `synthralos waits answer ID signal --payload '{"invoice": 7}'`
    """
    if said is not Said.SIGNAL and payload is not None:
        raise typer.BadParameter("belongs to a signal", param_hint="--payload")
    with client_of(context) as client:
        if said is Said.SIGNAL:
            found = client.waits.signal(wait_id, _object(payload or "{}"), comment=comment)
        else:
            found = client.waits.answer(wait_id, "approve" if said is Said.APPROVE else "deny", comment=comment)
    output(context, as_json).show(found, lambda: _whole(found))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        typer.echo('synthralos: --payload is no JSON object: write it as \'{"name": "value"}\'', err=True)
        raise typer.Exit(Exit.USAGE)
    return value


def _table(found: Sequence[dict[str, Any]]) -> Listing:
    columns = (
        Column("id"), Column("kind"), Column("name"), Column("state"), Column("deadline"), Column("job or run"),
        Column("asked", cut=True),
    )  # fmt: skip
    rows = [
        [
            each["id"], each["kind"], printable(each["name"]), each["state"], _at(each["deadline"]),
            each["job_id"] or printable(each["run_id"] or ""), one_line(each["prompt"]),
        ]
        for each in found
    ]  # fmt: skip
    return Listing(columns, rows)


def _whole(wait: dict[str, Any]) -> Text:
    told = {
        "wait": f"{wait['kind']} {wait['name']}", "asked": wait["prompt"], "state": wait["state"],
        "job": wait["job_id"] or "", "run": wait["run_id"] or "", "opened": _at(wait["opened_at"]),
        "deadline": _at(wait["deadline"]), "default": _said(wait["default"]), "answer": _said(wait["answer"]),
        "by": wait["answered_by"] or "", "comment": wait["comment"],
    }  # fmt: skip
    return Text("\n".join(f"{name:<9} {printable(value)}" for name, value in told.items() if value))


def _said(answer: dict[str, Any] | None) -> str:
    if answer is None:
        return ""
    return str(answer["answer"]) if answer.get("answer") else json.dumps(answer.get("payload"), ensure_ascii=False)


def _at(text: str | None) -> str:
    moment = parse_time(text)
    return "" if moment is None else local(moment)
