"""`synthralos organizations`: who is on which plan, in the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.configuring import by
from cli.keys import PlanName
from cli.options import DatabaseUrl, Json, opened, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthralos.store.admin.organizations import Organization, Organizations

app = typer.Typer(no_args_is_help=True, help="See organizations and their plans, in the database of DATABASE_URL.")


@app.command("list")
def list_organizations(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the organizations that a key named, or that were put on a plan."""
    with _organizations(database_url) as organizations:
        found = organizations.all()
    output(context, as_json).show({"organizations": [_data(each) for each in found]}, lambda: _table(found))


@app.command("set")
def set_plan(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A new one is made.")],
    plan: Annotated[PlanName, typer.Option(help="The plan; jobs that are submitted from now on carry it.")],
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Put an organization on a plan.

    Example: `synthralos organizations set acme --plan pro`
    """
    if not name.strip():
        raise typer.BadParameter("the name is blank")
    with _organizations(database_url) as organizations:
        found = organizations.set_plan(name, plan, by())
    output(context, as_json).show(_data(found), lambda: Text(f"{one_line(found.name)} is on {found.plan}"))


@contextmanager
def _organizations(database_url: str | None) -> Iterator["Organizations"]:
    from synthralos.store.admin.organizations import Organizations  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        yield Organizations(database)


def _data(found: "Organization") -> dict[str, object]:
    return {"name": found.name, "plan": found.plan, "created_at": found.created_at}


def _table(organizations: "Sequence[Organization]") -> Listing:
    columns = (Column("name", cut=True), Column("plan"), Column("since"))
    return Listing(columns, [[each.name, each.plan, local(each.created_at)] for each in organizations])
