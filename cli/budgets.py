"""`synthralos budgets`: what may be spent by whom, in the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.configuring import Reason, by
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, opened, output
from cli.output import View, local, usd
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from synthralos.domain.budgets import Budget, Use
    from synthralos.store.admin.budgets import BudgetStore

app = typer.Typer(
    no_args_is_help=True,
    help="See, set, raise and remove budgets, in the database of DATABASE_URL. They hold calls in every process within "
    "two seconds. docs/budgets.md explains them.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The budget's id.")]
Usd = Annotated[str, typer.Argument(metavar="USD", help="The limit, such as 12.50.")]
_COLUMNS = (
    Column("id"),
    Column("name"),
    Column("for"),
    Column("per"),
    Column("period"),
    Column("limit", right=True),
    Column("at limit"),
    Column("raised"),
)
_USES = (
    Column("subject"),
    Column("since"),
    Column("spent", right=True),
    Column("maybe", right=True),
    Column("held", right=True),
)


@app.command("list")
def list_budgets(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List all budgets."""
    with _store(database_url) as store:
        found = store.all()
    shown = {"budgets": [budget.to_json() for budget in found]}
    output(context, as_json).show(shown, lambda: Listing(_COLUMNS, [_row(budget) for budget in found]))


@app.command()
def show(context: typer.Context, budget_id: Id, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Show a budget, and what was used of it in the present period."""
    with _store(database_url) as store:
        found = _found(store, budget_id)
        uses = store.uses(found)
    shown = {**found.to_json(), "uses": [use.to_json() for use in uses]}
    view: View = [Listing(_COLUMNS, [_row(found)]), Listing(_USES, [_use(use) for use in uses])]
    output(context, as_json).show(shown, lambda: view)


@app.command("set")
def set_budget(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What it is called when it refuses a call.")],
    limit: Usd,
    per: Annotated[
        Literal["organization", "workspace", "user", "run", "job", "api_key"],
        typer.Option(help="Whose spending counts together."),
    ],
    period: Annotated[Literal["hour", "day", "month", "total"], typer.Option(help="Calendar time in UTC.")],
    at_limit: Annotated[
        Literal["park", "deny", "cheaper"],
        typer.Option(help="Wait for the next period, fail, or go to a cheaper model of the plan."),
    ] = "deny",
    organization: Annotated[str | None, typer.Option(help="For this one alone.", show_default=False)] = None,
    workspace: Annotated[str | None, typer.Option(help="For this one alone.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option(help="For this one alone.", show_default=False)] = None,
    api_key: Annotated[
        str | None, typer.Option(help="For jobs submitted with the key of this id alone.", show_default=False)
    ] = None,
    alert: Annotated[list[int] | None, typer.Option(help="Percentages to tell of; else 80 and 100.")] = None,
    budget_id: Annotated[str | None, typer.Option("--id", help="Replace this budget.", show_default=False)] = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a budget, or replace one.

    Example: `synthralos budgets set "acme a month" 500 --per organization --period month --organization acme`
    """
    from synthralos.domain.budgets import DEFAULT_ALERTS, AtLimit, Budget, Per, Period  # noqa: PLC0415
    from synthralos.domain.ids import new_id  # noqa: PLC0415

    if organization is None and (workspace is not None or user is not None):
        raise typer.BadParameter("name the --organization, too")
    if period == "total" and at_limit == "park":
        raise typer.BadParameter("`total` has no next period to wait for: choose --at-limit deny or cheaper")
    if any(not 1 <= each <= 1000 for each in alert or ()):
        raise typer.BadParameter("--alert takes a percentage from 1 to 1000")
    alerts = tuple(sorted(set(alert))) if alert else DEFAULT_ALERTS
    wanted = Budget(
        budget_id or new_id(), name, Per(per), Period(period), _amount(limit), AtLimit(at_limit), organization,
        workspace, user, alerts, api_key=_key_id(api_key),
    )  # fmt: skip
    with _store(database_url) as store:
        if budget_id is None:
            store.create(wanted, by(reason))
        else:
            wanted = replace(wanted, id=budget_id.lower(), raised=_found(store, budget_id).raised)
            store.replace(wanted, by(reason))
    _show(context, as_json, wanted)


@app.command("raise")
def raise_budget(
    context: typer.Context,
    budget_id: Id,
    limit: Usd,
    until: Annotated[datetime, typer.Option(help="Until this time (UTC).", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; it goes on record.", show_default=False)],
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Give a budget another limit until a time.

    Example: `synthralos budgets raise 0199… 900 --until 2026-02-01 --reason "the launch"`
    """
    from synthralos.domain.budgets import Raised  # noqa: PLC0415

    until = until.replace(tzinfo=UTC)
    if until <= datetime.now(UTC):
        raise typer.BadParameter("--until is in the past")
    if not reason.strip():
        raise typer.BadParameter("--reason says why: it goes on record")
    who = by(reason)
    with _store(database_url) as store:
        raised = store.raise_limit(_found(store, budget_id), Raised(_amount(limit), until, who.actor, reason), who)
    assert raised is not None
    _show(context, as_json, raised)


@app.command()
def remove(
    context: typer.Context, budget_id: Id, reason: Reason = "", database_url: DatabaseUrl = None, as_json: Json = False
) -> None:
    """Remove a budget, and what was counted for it."""
    with _store(database_url) as store:
        found = _found(store, budget_id)
        store.remove(found.id, by(reason))
    _show(context, as_json, found)


@contextmanager
def _store(database_url: str | None) -> Iterator["BudgetStore"]:
    from synthralos.store.admin.budgets import BudgetStore  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        yield BudgetStore(database)


def _found(store: "BudgetStore", budget_id: str) -> "Budget":
    from synthralos.domain.ids import is_id  # noqa: PLC0415

    found = store.get(budget_id.lower()) if is_id(budget_id) else None
    if found is None:
        typer.echo(f"synthralos: there is no budget {budget_id}: `synthralos budgets list` shows all", err=True)
        raise typer.Exit(Exit.REFUSED)
    return found


def _key_id(text: str | None) -> str | None:
    from synthralos.domain.ids import is_id  # noqa: PLC0415

    if text is not None and not is_id(text):
        raise typer.BadParameter("--api-key takes the id of an API key, as `synthralos keys list` shows it")
    return None if text is None else text.lower()


def _amount(text: str) -> Decimal:
    from synthralos.domain.budgets import MOST_USD  # noqa: PLC0415

    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= MOST_USD:
        raise typer.BadParameter(f"the limit is an amount of USD from 0 to {MOST_USD:,}, such as 12.50")
    return amount


def _show(context: typer.Context, as_json: bool, budget: "Budget") -> None:
    output(context, as_json).show(budget.to_json(), lambda: Listing(_COLUMNS, [_row(budget)]))


def _row(budget: "Budget") -> list[str]:
    scope: Any = " / ".join(
        one_line(each) for each in (budget.organization, budget.workspace, budget.user, budget.api_key) if each
    )
    raised = "" if budget.raised is None else f"{usd(budget.raised.limit)} until {local(budget.raised.until)}"
    name, limit = one_line(budget.name), usd(budget.limit)
    return [budget.id, name, scope or "everybody", budget.per, budget.period, limit, budget.at_limit, raised]


def _use(use: "Use") -> list[str]:
    return [one_line(use.subject), local(use.since), usd(use.spent), usd(use.maybe), usd(use.held)]
