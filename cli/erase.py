"""`synthralos erase`: what is known of a person or a tenant is erased, in the background."""

from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.clients import client_of
from cli.options import Json, Url, output
from cli.output import Output, local
from cli.tables import Column, Listing
from cli.texts import one_line
from synthralos_client.models import parse_time

app = typer.Typer(
    no_args_is_help=True,
    help="Erase what is known of a person or a tenant: prompts, results, thoughts, feedback, waits, the search index, "
    "vectors of prompts. What calls cost stays, under a pseudonym. The server is SYNTHRALOS_URL (or --url), the key "
    "SYNTHRALOS_API_KEY.\n\nIt cannot be undone. `start`, then `show` until it is done.",
)

Organization = Annotated[str | None, typer.Option(help="Else the key's own.", show_default=False)]
_COLUMNS = (
    Column("id"), Column("of"), Column("organization"), Column("user"), Column("state"), Column("step"),
    Column("jobs", right=True), Column("created"),
)  # fmt: skip


@app.callback()
def connection(url: Url = None) -> None:
    """Options for all of these commands."""


@app.command()
def start(
    context: typer.Context,
    organization: Organization = None,
    workspace: Annotated[str | None, typer.Option(help="All of this workspace, or the user's there.")] = None,
    user: Annotated[str | None, typer.Option(help="The person whose data is erased.", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--everything", help="The organization, whole.")] = False,
    wait_for_open: Annotated[
        bool, typer.Option("--wait-for-open", help="Wait for the end of open jobs; else they are cancelled.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it goes on record: name nobody in it.")] = "",
    as_json: Json = False,
) -> None:
    """Begin an erasure, and print its id.

    Examples: `synthralos erase start --organization acme --user ann --reason "request 17"`;
    `synthralos erase start --organization acme --everything --yes`
    """
    whom = user or (f"workspace {workspace}" if workspace else "the whole organization" if everything else None)
    if whom is None:
        raise typer.BadParameter("name a --user or a --workspace, or say --everything")
    if not yes:
        typer.confirm(f"Erase what is known of {whom}? It cannot be undone.", abort=True, err=True)
    with client_of(context) as client:
        made = client.erasures.create(
            organization=organization, workspace=workspace, user=user, everything=everything,
            open_jobs="wait" if wait_for_open else "cancel", reason=reason,
        )  # fmt: skip
    _show(output(context, as_json), made)


@app.command("list")
def list_erasures(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List erasures, newest first."""
    with client_of(context) as client:
        found = list(islice(client.erasures.list(page_size=min(limit, 200)), limit))
    output(context, as_json).show({"erasures": found}, lambda: Listing(_COLUMNS, [_row(each) for each in found]))


@app.command()
def show(
    context: typer.Context,
    erasure_id: Annotated[str, typer.Argument(metavar="ID", help="The erasure's id.")],
    as_json: Json = False,
) -> None:
    """Show how far an erasure is, and what was erased."""
    with client_of(context) as client:
        found = client.erasures.get(erasure_id)
    _show(output(context, as_json), found)


def _show(out: Output, found: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(found["counts"].items())) or "nothing yet"
    out.show(found, lambda: Text(f"{found['id']}  {found['state']}: {counts}"))


def _row(found: dict[str, Any]) -> list[str]:
    return [
        found["id"], found["of"], one_line(found["organization"]), one_line(found["user"] or ""), found["state"],
        found["step"] or "", str(found["counts"].get("jobs", 0)), local(parse_time(found["created_at"])),
    ]  # fmt: skip
