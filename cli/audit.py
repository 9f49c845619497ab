"""`synthralos audit`: who changed what, read from the database itself."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import DatabaseUrl, Json, opened, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from synthralos.store.admin.audit import AuditEntry

_COLUMNS = (
    Column("at"),
    Column("actor"),
    Column("act"),
    Column("subject"),
    Column("before", cut=True),
    Column("after", cut=True),
    Column("reason", cut=True),
)


def audit(
    context: typer.Context,
    actor: Annotated[str | None, typer.Option(help="By whom, such as key:sk-syn-Ab3dEf12.", show_default=False)] = None,
    act: Annotated[str | None, typer.Option(help="What was done, such as flags.set.", show_default=False)] = None,
    subject: Annotated[
        str | None, typer.Option(help="To what, such as flag:track_model_costs, or deployment:*.", show_default=False)
    ] = None,
    organization: Annotated[str | None, typer.Option(help="Whose it is.", show_default=False)] = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on (UTC).", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """List changes by people and programs, newest first: who, what, before, after, why.

    Examples: `synthralos audit --subject 'flag:*'`; `synthralos audit --actor cli:ann --since 2026-01-31`
    """
    from datetime import UTC  # noqa: PLC0415

    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415 - the database layer is slow to import
    from synthralos.store.admin.audit import Audit, AuditFilter  # noqa: PLC0415

    since = None if since is None else since.replace(tzinfo=UTC)
    wanted = AuditFilter(actor, act, subject, organization, since)
    with opened(database_url) as database:
        found = Audit(database).page(wanted, EVERYTHING, limit)
    output(context, as_json).show({"changes": [asdict(entry) for entry in found]}, lambda: _table(found))


def _table(found: "list[AuditEntry]") -> Listing:
    return Listing(
        _COLUMNS,
        [[local(e.at), e.actor, e.act, e.subject, _json(e.before), _json(e.after), one_line(e.reason)] for e in found],
    )


def _json(value: dict[str, Any] | None) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)
