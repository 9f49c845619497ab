"""`synthralos quotas`: what is known of providers' quotas, from the database itself."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.configuring import Reason, by
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, opened, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from synthralos.domain.quota_report import QuotaReport

app = typer.Typer(
    no_args_is_help=True,
    help="See how many requests and tokens a minute providers allow, by credential and model, as was learned from "
    "their answers and refusals, in the database of DATABASE_URL; and have it forgotten. What the catalog declares "
    "alone (`rpm`, `tpm`) is not among them: GET /api/v1/quotas has both.",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="CREDENTIAL/MODEL, as `synthralos quotas list` says.")]


@app.command("list")
def list_quotas(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the quotas of which anything was learned: limits, what is left, and what is closed until when."""
    from synthralos.domain.quota_report import reports  # noqa: PLC0415 - as below
    from synthralos.store.admin.quotas import QuotaStore  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        known, now = QuotaStore(database).all()
    found = reports(known, {}, now)
    output(context, as_json).show({"quotas": [asdict(each) for each in found]}, lambda: _table(found))


@app.command()
def reset(
    context: typer.Context,
    name: Name,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Forget what was learned of a quota, and open it: workers call again within a second, and learn it anew.

    Example: `synthralos quotas reset openai/gpt-5-mini --reason 'the limit was raised'`
    """
    from synthralos.store.admin.quotas import QuotaStore  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        after = QuotaStore(database).reset(name, by(reason))
    if after is None:
        typer.echo(f"synthralos: nothing is known of {name}: `synthralos quotas list` shows what is known", err=True)
        raise typer.Exit(Exit.REFUSED)
    output(context, as_json).show({"name": name}, lambda: Text(f"what was learned of {name} is forgotten"))


def _table(found: "Sequence[QuotaReport]") -> Listing:
    columns = (
        Column("name"), Column("unit"), Column("a minute"), Column("left"), Column("source"), Column("closed until"),
        Column("reason", cut=True),
    )  # fmt: skip
    rows: list[list[str]] = []
    for each in found:
        closed = [local(each.closed_until) if each.closed_until else "", one_line(each.reason)]
        limits = [
            [str(limit.unit), str(limit.limit), "" if limit.left is None else str(limit.left), str(limit.source)]
            for limit in each.limits
        ]
        rows += [[each.name, *limit, *closed] for limit in limits or [["", "", "", ""]]]
    return Listing(columns, rows)
