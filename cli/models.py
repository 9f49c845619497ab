"""`synthralos models`: the deployments of the catalog, what they cost, and whether they can be used."""

from typing import TYPE_CHECKING

import typer
from rich.text import Text

from cli.configuring import in_force
from cli.options import DatabaseUrl, Json, output
from cli.tables import Column, Listing

if TYPE_CHECKING:
    from synthralos.domain.deployments import Deployment

_COLUMNS = (
    Column("deployment"),
    Column("tier"),
    Column("window", right=True),
    Column("output", right=True),
    Column("$/M in", right=True),
    Column("cached", right=True),
    Column("$/M out", right=True),
    Column("abilities", cut=True),
    Column("usable", cut=True),
)


def models(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the deployments that jobs may go to: region, limits in tokens, prices in USD per million tokens.

    `usable` says what is missing, such as a provider's key. The catalog is CATALOG_FILE, else the built-in one, with
    what was set by `synthralos deployments` in the database of DATABASE_URL, where that can be reached.

    Examples: `synthralos models`; `CATALOG_FILE=mine.toml synthralos models --json`
    """
    from synthralos.config.deployment_view import deployment_view  # noqa: PLC0415 - only this command needs it

    with in_force(database_url) as live:
        config = live.current
    found = [(deployment, config.credentials.why_not_offered(deployment)) for deployment in config.catalog]
    deployments = [deployment_view(deployment, why) for deployment, why in found]
    data = {"deployments": deployments, "aliases": config.catalog.aliases}
    output(context, as_json).show(data, lambda: Listing(_COLUMNS, [_row(*one) for one in found]))


def _row(deployment: "Deployment", why_not: str | None) -> list[str | Text]:
    price = deployment.price
    prices = ["?"] * 3 if price is None else [_dollars(price.input), _dollars(price.cached), _dollars(price.output)]
    limits = [f"{deployment.context_window:,}", f"{deployment.max_output:,}"]
    usable = Text("yes", "green") if why_not is None else Text(why_not, "yellow")
    return [deployment.id, str(deployment.tier), *limits, *prices, " ".join(sorted(deployment.abilities)), usable]


def _dollars(amount: object) -> str:
    return "" if amount is None else f"{amount}"
