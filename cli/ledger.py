"""`synthralos ledger`: hold the books against a provider's bill, or against other prices, and set them right."""

import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configuring import Reason, by
from cli.documents import read_document
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, opened, output
from cli.output import Output, usd
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from synthralos.domain.money import Price
    from synthralos.store.admin.adjustments import Difference

app = typer.Typer(
    no_args_is_help=True,
    help="Hold the books against a provider's bill or other prices, in the database of DATABASE_URL. Nothing is "
    "written without --write, and then adjusting entries only: what is on the books stays as it is.",
)

Write = Annotated[bool, typer.Option("--write", help="Write adjusting entries; else only show them.")]
_COLUMNS = (
    Column("day"),
    Column("provider"),
    Column("model"),
    Column("for"),
    Column("should be", right=True),
    Column("booked", right=True),
    Column("maybe", right=True),
    Column("difference", right=True),
)


@app.command()
def reconcile(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="The provider's cost report as JSON, or an array of its pages; - is stdin.")
    ],
    write: Write = False,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Show where the ledger differs from a cost report of OpenAI or Anthropic, by day and model.

    Example: `synthralos ledger reconcile openai-january.json --write --reason "invoice 2026-01"`
    """
    from synthralos.domain.provider_bills import UnreadableBill, read_bill  # noqa: PLC0415
    from synthralos.store.admin.adjustments import Adjustments  # noqa: PLC0415

    try:
        bill = read_bill(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {file}: {error}") from None
    except UnreadableBill as error:
        typer.echo(f"synthralos: {file}: {error}", err=True)
        raise typer.Exit(Exit.REFUSED) from None
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if write and any(day >= today for day, _ in bill.amounts):
        raise typer.BadParameter("the bill has a day that is not over: leave today out of it")
    with opened(database_url) as database:
        books = Adjustments(database)
        found = books.against(bill)
        written = books.write(found, bill.digest, by(reason)) if write else None
    _show(output(context, as_json), found, written, bill.digest)


@app.command()
def recompute(
    context: typer.Context,
    prices: Annotated[str, typer.Option(help="TOML or JSON: for each model input, output, cached … in USD a million.")],
    since: Annotated[datetime, typer.Option(help="From this day on (UTC).")],
    until: Annotated[
        datetime | None, typer.Option(help="Before this day (UTC); else today.", show_default=False)
    ] = None,
    write: Write = False,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Show what calls of whole days would have cost at other prices, by day, model and tenant.

    Example: `synthralos ledger recompute --prices prices.toml --since 2026-01-01 --until 2026-02-01`
    """
    from synthralos.store.admin.adjustments import Adjustments  # noqa: PLC0415

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin, end = _day(since), today if until is None else _day(until)
    if not begin < end <= today or end - begin > timedelta(days=400):
        raise typer.BadParameter("--since and --until are whole days that are over, 400 at most")
    document = read_document(prices)
    found_prices = _prices(document)
    digest = hashlib.sha256(json.dumps([document, str(begin), str(end)], sort_keys=True, default=str).encode())
    with opened(database_url) as database:
        books = Adjustments(database)
        found = books.at_prices(found_prices, begin, end)
        written = books.write(found, digest.hexdigest(), by(reason)) if write else None
    _show(output(context, as_json), found, written, digest.hexdigest())


def _day(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)


def _prices(document: Any) -> dict[str, "Price"]:
    from synthralos.domain.money import Price  # noqa: PLC0415

    names = ("input", "output", "cached", "cache_write")
    found = {}
    for model, price in document.items() if isinstance(document, dict) else ():
        if not isinstance(price, dict) or not {"input", "output"} <= price.keys() <= set(names):
            raise typer.BadParameter(f"{model} needs `input` and `output`, and may have `cached` and `cache_write`")
        amounts: dict[str, Any] = {name: _amount(f"{model}.{name}", value) for name, value in price.items()}
        found[model] = Price(**amounts)
    if not found:
        raise typer.BadParameter("--prices has no model: write `[gpt-4o]` with `input` and `output` below it")
    return found


def _amount(path: str, value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= 1_000_000:
        raise typer.BadParameter(f"{path} is no price: write USD for a million tokens, such as 2.50")
    return amount


def _show(out: Output, found: list["Difference"], written: int | None, batch: str) -> None:
    shown = {
        "differences": [
            {**each._asdict(), "difference": each.amount, "day": each.day.date().isoformat()} for each in found
        ],
        "total": sum((each.amount for each in found), Decimal(0)),
        "written": written,
        "batch": batch,
    }
    out.show(shown, lambda: [Listing(_COLUMNS, [_row(each) for each in found]), _told(found, written)])


def _row(each: "Difference") -> list[str]:
    tenant = " / ".join(one_line(name) for name in (each.organization, each.workspace, each.user) if name)
    amounts = (each.should, each.booked, each.maybe)
    return [
        each.day.date().isoformat(), each.provider, one_line(each.model), tenant, *(usd(a) for a in amounts),
        _signed(each.amount),
    ]  # fmt: skip


def _signed(amount: Decimal) -> str:
    return f"-{usd(-amount)}" if amount < 0 else f"+{usd(amount)}"


def _told(found: list["Difference"], written: int | None) -> str:
    total = _signed(sum((each.amount for each in found), Decimal(0)))
    if not found:
        return "The books agree."
    if written is None:
        return f"{len(found)} differences, {total} in all. Nothing was written: --write adjusts the books."
    if not written:
        return "This was written before: nothing was written again."
    return f"{written} adjusting entries written, {total} in all."
