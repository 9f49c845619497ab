"""`synthralos keys`: API keys, made and revoked in the database itself, so that it works before any API runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings
from cli.output import local
from cli.tables import Column, Listing

if TYPE_CHECKING:
    from synthralos.store.admin.keys import ApiKey, Keys

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys, in the database of DATABASE_URL.")

RoleName = Literal["viewer", "service", "operator", "admin"]
Organization = Annotated[
    str | None, typer.Option(help="Bind the key to an organization; without one it is for the whole installation.")
]


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What the key is for.")] = "command line",
    role: Annotated[
        RoleName,
        typer.Option(help="viewer reads; service also submits and cancels; operator also retries and reroutes."),
    ] = "service",
    organization: Organization = None,
    workspace: Annotated[str | None, typer.Option(help="Bind it to a workspace of the organization.")] = None,
    user: Annotated[str | None, typer.Option(help="Bind it to a user of the workspace.")] = None,
    plan: Annotated[
        str | None, typer.Option(help="Put the organization on a plan (free, pro, enterprise).", show_default=False)
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once; only its hash is stored.

    Example: `synthralos keys create --name billing --organization acme --plan pro`
    """
    _check_scope(organization, workspace, user, plan)
    from synthralos.domain.scope import Scope  # noqa: PLC0415
    from synthralos.store.admin.keys import Role  # noqa: PLC0415 - the database layer is slow to import

    with _keys(database_url) as keys:
        secret, key = keys.create(name, Role(role), Scope(organization, workspace, user), plan)
    output(context, as_json).show({"key": secret, **_data(key)}, lambda: Text(secret))
    if not as_json:
        typer.echo("This is the only time that it is shown: keep it, or `synthralos keys revoke` it.", err=True)


@app.command("list")
def list_keys(
    context: typer.Context, organization: Organization = None, database_url: DatabaseUrl = None, as_json: Json = False
) -> None:
    """List the keys, newest first, without the keys themselves."""
    from synthralos.domain.scope import Scope  # noqa: PLC0415 - the database layer is slow to import

    with _keys(database_url) as keys:
        found = keys.all(Scope(organization))
    output(context, as_json).show({"keys": [_data(key) for key in found]}, lambda: _table(found))


@app.command()
def revoke(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID|PREFIX", help="As `synthralos keys list` shows it.")],
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Revoke a key; it is refused from now on.

    Example: `synthralos keys revoke sk-syn-Ab3d`
    """
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415 - the database layer is slow to import

    with _keys(database_url) as keys:
        revoked = keys.revoke(key, EVERYTHING)
    output(context, as_json).show({"revoked": revoked}, lambda: Text("revoked" if revoked else "nothing was revoked"))
    if not revoked:
        typer.echo(f"synthralos: no living key is called {key}: see `synthralos keys list`", err=True)
        raise typer.Exit(Exit.REFUSED)


def _check_scope(organization: str | None, workspace: str | None, user: str | None, plan: str | None) -> None:
    if organization is None and (workspace or user or plan):
        raise typer.BadParameter("--workspace, --user and --plan need an --organization")


@contextmanager
def _keys(database_url: str | None) -> Iterator["Keys"]:
    from synthralos.store.admin.keys import Keys  # noqa: PLC0415
    from synthralos.store.sql.database import Database  # noqa: PLC0415 - the database layer is slow to import

    database = Database(settings(database_url=database_url).database_url)
    try:
        yield Keys(database)
    finally:
        database.close()


def _data(key: "ApiKey") -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "role": str(key.role),
        "organization": key.scope.organization,
        "workspace": key.scope.workspace,
        "user": key.scope.user,
        "plan": key.plan,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }


COLUMNS = (
    Column("prefix"),
    Column("name", cut=True),
    Column("role"),
    Column("scope", cut=True),
    Column("plan"),
    Column("created"),
    Column("revoked"),
    Column("id"),
)


def _table(keys: list["ApiKey"]) -> Listing:
    return Listing(COLUMNS, [_row(key) for key in keys])


def _row(key: "ApiKey") -> list[str]:
    parts = (key.scope.organization or "everything", key.scope.workspace, key.scope.user)
    scope = "/".join(part for part in parts if part)
    times = (local(key.created_at), local(key.revoked_at))
    return [key.prefix, key.name, str(key.role), scope, key.plan or "", *times, key.id]
