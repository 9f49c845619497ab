"""`synthralos incidents`: what the monitor found, over HTTP with the client that everybody uses."""

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
from synthralos.domain.incidents import IncidentKind
from synthralos_client.models import parse_time

app = typer.Typer(
    no_args_is_help=True,
    help="Incidents: what the monitor found to be unlike what is usual, what it did about it, and how that ended. The "
    "server is SYNTHRALOS_URL (or --url), the key SYNTHRALOS_API_KEY; resolving needs the role operator.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The incident's id.")]
Comment = Annotated[str, typer.Option(help="Why; it goes on record.", show_default=False)]


class States(StrEnum):
    """In which state: `live` is all but closed."""

    LIVE = "live"
    OPEN = "open"
    REPAIRING = "repairing"
    VERIFYING = "verifying"
    ESCALATED = "escalated"
    CLOSED = "closed"


@app.callback()
def connection(
    url: Url = None,
) -> None:
    """Options for all of these commands."""


@app.command("list")
def list_incidents(
    context: typer.Context,
    state: Annotated[States | None, typer.Option(help="In this state.", show_default=False)] = None,
    kind: Annotated[IncidentKind | None, typer.Option(help="Of this kind.", show_default=False)] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="About deployment:ID, organization:NAME or queue:STAGE/LANE.", show_default=False),
    ] = None,
    organization: Annotated[str | None, typer.Option(help="About this organization.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List incidents, newest first.

    Examples: `synthralos incidents list --state live`,
    `synthralos incidents list --kind latency --subject deployment:openai/gpt-5-mini@eu`
    """
    filters: dict[str, Any] = given({"state": state, "kind": kind, "subject": subject, "organization": organization})
    with client_of(context) as client:
        found = list(islice(client.healing.incidents.list(page_size=min(limit, 200), **filters), limit))
    output(context, as_json).show({"incidents": found}, lambda: _table(found))


@app.command()
def show(context: typer.Context, incident_id: Id, as_json: Json = False) -> None:
    """Show what was measured against what is usual, each step that was taken, and where to look next."""
    with client_of(context) as client:
        found = client.healing.incidents.get(incident_id)
    output(context, as_json).show(found, lambda: _whole(found))


@app.command()
def resolve(context: typer.Context, incident_id: Id, comment: Comment = "", as_json: Json = False) -> None:
    """Say that an incident is over. Where it goes on, that is taken for usual from then on.

    Example: `synthralos incidents resolve ID --comment 'the provider changed its prices'`
    """
    with client_of(context) as client:
        found = client.healing.incidents.resolve(incident_id, comment=comment)
    output(context, as_json).show(found, lambda: _whole(found))


@app.command()
def acknowledge(context: typer.Context, incident_id: Id, comment: Comment = "", as_json: Json = False) -> None:
    """Say that you look at an incident, so that others need not.

    Example: `synthralos incidents acknowledge ID --comment 'on it'`
    """
    with client_of(context) as client:
        found = client.healing.incidents.acknowledge(incident_id, comment=comment)
    output(context, as_json).show(found, lambda: _whole(found))


def _table(found: Sequence[dict[str, Any]]) -> Listing:
    columns = (
        Column("id"), Column("kind"), Column("subject"), Column("state"), Column("severity"), Column("opened"),
        Column("reason", cut=True),
    )  # fmt: skip
    rows = [
        [
            each["id"], each["kind"], printable(each["subject"]), _state(each), each["severity"],
            _at(each["opened_at"]), one_line(each["reason"]),
        ]
        for each in found
    ]  # fmt: skip
    return Listing(columns, rows)


def _whole(incident: dict[str, Any]) -> Text:
    seen = incident["evidence"]
    measured = f"{seen['measured']:g} ({seen['unit']}); usual {seen['baseline']:g}, limit {seen['limit']:g}"
    told = {
        "incident": f"{incident['kind']} of {incident['subject']}", "state": _state(incident),
        "severity": incident["severity"], "reason": incident["reason"], "measured": measured,
        "over": f"{seen['calls']:g} in {seen['seconds']:g} s", "opened": _at(incident["opened_at"]),
        "closed": _at(incident["closed_at"]), "seen by": incident["acknowledged_by"] or "",
    }  # fmt: skip
    lines = [f"{name:<9} {printable(value)}" for name, value in told.items() if value]
    lines += [_step(step) for step in incident["steps"]]
    lines += [f"{name:<9} {printable(path)}" for name, path in incident["links"].items()]
    return Text("\n".join(lines))


def _step(step: dict[str, Any]) -> str:
    words = [_at(step["at"]), printable(step["actor"]), step["act"], step["outcome"], printable(step["note"])]
    return "step      " + "  ".join(word for word in words if word)


def _state(incident: dict[str, Any]) -> str:
    return f"{incident['state']} (forecast)" if incident["forecast"] else str(incident["state"])


def _at(text: str | None) -> str:
    moment = parse_time(text)
    return "" if moment is None else local(moment)
