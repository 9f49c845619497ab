"""`synthralos keys`: API keys, made and revoked in the database itself, so that it works before any API runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.text import Text

from cli.configuring import by
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, opened, output
from cli.output import Output, local
from cli.tables import Column, Listing

if TYPE_CHECKING:
    from synthralos.store.admin.keys import ApiKey, Keys

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys, in the database of DATABASE_URL.")

RoleName = Literal["viewer", "service", "operator", "admin"]
PlanName = Literal["free", "pro", "enterprise"]
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
    plan: Annotated[PlanName | None, typer.Option(help="Put the organization on a plan.", show_default=False)] = None,
    expires_in_days: Annotated[
        float | None, typer.Option(min=0, help="Refuse the key after so many days.", show_default="never")
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it, this once; only its hash is stored.

    Example: `synthralos keys create --name billing --organization acme --plan pro`
    """
    _check_scope(organization, workspace, user, plan)
    from synthralos.domain.permissions import Role  # noqa: PLC0415 - the database layer is slow to import
    from synthralos.domain.scope import Scope  # noqa: PLC0415

    with _keys(database_url) as keys:
        scope, until = Scope(organization, workspace, user), _after(expires_in_days)
        secret, key = keys.create(name, Role(role), scope, plan, until, by())
    _show_new(output(context, as_json), secret, key)


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
def rotate(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="ID|PREFIX", help="As `synthralos keys list` shows it.")],
    grace_hours: Annotated[float, typer.Option(min=0, help="For how long the old key goes on working.")] = 0.0,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a key with the same name, role and scope in place of one, and print it, this once.

    Example: `synthralos keys rotate sk-syn-Ab3d --grace-hours 24`
    """
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415 - the database layer is slow to import

    with _keys(database_url) as keys:
        made = keys.rotate(key, EVERYTHING, timedelta(hours=grace_hours), by())
    if made is None:
        _refuse(key)
    _show_new(output(context, as_json), *made)


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
        revoked = keys.revoke(key, EVERYTHING, by())
    output(context, as_json).show({"revoked": revoked}, lambda: Text("revoked" if revoked else "nothing was revoked"))
    if not revoked:
        _refuse(key)


def _refuse(key: str) -> NoReturn:
    typer.echo(f"synthralos: no living key is called {key}: see `synthralos keys list`", err=True)
    raise typer.Exit(Exit.REFUSED)


def _show_new(out: Output, secret: str, key: "ApiKey") -> None:
    out.show({"key": secret, **_data(key)}, lambda: Text(secret))
    if not out.as_json:
        typer.echo("This is the only time that it is shown: keep it, or `synthralos keys revoke` it.", err=True)


def _after(days: float | None) -> datetime | None:
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def _check_scope(organization: str | None, workspace: str | None, user: str | None, plan: str | None) -> None:
    for name, value in {"organization": organization, "workspace": workspace, "user": user}.items():
        if value is not None and not value.strip():
            raise typer.BadParameter(f"--{name} is blank: leave it out, or name one")
    if organization is None and (workspace or user or plan):
        raise typer.BadParameter("--workspace, --user and --plan need an --organization")


@contextmanager
def _keys(database_url: str | None) -> Iterator["Keys"]:
    from synthralos.store.admin.keys import Keys  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        yield Keys(database)


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
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


COLUMNS = (
    Column("prefix"),
    Column("name", cut=True),
    Column("role"),
    Column("scope", cut=True),
    Column("plan"),
    Column("created"),
    Column("last used"),
    Column("expires"),
    Column("revoked"),
    Column("id"),
)


def _table(keys: list["ApiKey"]) -> Listing:
    return Listing(COLUMNS, [_row(key) for key in keys])


def _row(key: "ApiKey") -> list[str]:
    parts = (key.scope.organization or "everything", key.scope.workspace, key.scope.user)
    scope = "/".join(part for part in parts if part)
    times = tuple(local(at) for at in (key.created_at, key.last_used_at, key.expires_at, key.revoked_at))
    return [key.prefix, key.name, str(key.role), scope, key.plan or "", *times, key.id]
