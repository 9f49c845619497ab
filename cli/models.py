"""`synthralos models`: the deployments of the catalog, what they cost, and whether they can be used."""

import os
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from cli.options import Json, output, settings
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


def models(context: typer.Context, as_json: Json = False) -> None:
    """List the deployments that jobs may go to: region, limits in tokens, prices in USD per million tokens.

    `usable` says what is missing, such as a provider's key. The catalog is CATALOG_FILE, else the built-in one.

    Examples: `synthralos models`; `CATALOG_FILE=mine.toml synthralos models --json`
    """
    chosen = settings()
    from synthralos.config.catalog import load_catalog  # noqa: PLC0415 - only this command needs it
    from synthralos.config.credentials import Credentials  # noqa: PLC0415

    catalog = load_catalog(chosen.catalog_file)
    credentials = Credentials.from_settings(chosen, os.environ, catalog)
    found = [(deployment, credentials.why_not_offered(deployment)) for deployment in catalog]
    data = {"deployments": [_data(deployment, why) for deployment, why in found]}
    output(context, as_json).show(data, lambda: Listing(_COLUMNS, [_row(*one) for one in found]))


def _data(deployment: "Deployment", why_not: str | None) -> dict[str, Any]:
    price = deployment.price
    return {
        "id": deployment.id,
        "model": deployment.model_name,
        "region": deployment.region,
        "tier": str(deployment.tier),
        "context_window": deployment.context_window,
        "max_output": deployment.max_output,
        "max_in_flight": deployment.max_in_flight,
        "timeout": deployment.timeout,
        "capabilities": sorted(deployment.capabilities),
        "price": None
        if price is None
        else {name: getattr(price, name) for name in ("input", "output", "cached", "cache_write", "as_of")},
        "usable": why_not is None,
        "why_not": why_not,
    }


def _row(deployment: "Deployment", why_not: str | None) -> list[str | Text]:
    price = deployment.price
    prices = ["?"] * 3 if price is None else [_dollars(price.input), _dollars(price.cached), _dollars(price.output)]
    limits = [f"{deployment.context_window:,}", f"{deployment.max_output:,}"]
    usable = Text("yes", "green") if why_not is None else Text(why_not, "yellow")
    return [deployment.id, str(deployment.tier), *limits, *prices, " ".join(sorted(deployment.capabilities)), usable]


def _dollars(amount: object) -> str:
    return "" if amount is None else f"{amount}"
