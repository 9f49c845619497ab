"""Compare the built-in catalog's prices with genai-prices; with `--write`, bring them up to date.

Run as `python -m scripts.update_prices`. Exits 1 and names each difference when the catalog is not up to date. The
catalog's layout and comments stay as they are: only `price = …` lines change.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

from genai_prices import data_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from synthralos.config.catalog import load_catalog
from synthralos.domain.deployments import Deployment
from synthralos.domain.money import Price

CATALOG = Path(__file__).resolve().parents[1] / "synthralos" / "config" / "catalog.toml"

UNPRICED = frozenset({"sandbox"})
"""Providers whose prices are not anybody's."""

UPLIFT = {
    ("openai", "eu"): (Decimal("1.1"), frozenset({"gpt-4.1-mini"})),
}
"""What a region costs more, and the models that are exempt: OpenAI charges data residency 10 % more for models
released on or after 2026-03-05 (OpenAI, "Data residency")."""

_ENTRY = re.compile(r'^\[\[deployment\]\]\nid = "(?P<id>[^"]+)"\n(?:(?!\[\[).*\n)*', re.M)
_PRICE = re.compile(r"^price = .*$", re.M)


def published(deployment: Deployment, day: date) -> tuple[Price, int | None]:
    """The published price of `deployment` on `day`, and the prompt length in tokens up to which it holds (None: any).

    Raises `LookupError` for a model that genai-prices does not know.
    """
    _, model = data_snapshot.get_snapshot().find_provider_model(
        deployment.upstream_model, None, deployment.provider, None
    )
    prices = model.get_prices(datetime.combine(day, time(12), UTC))
    factor, exempt = UPLIFT.get((deployment.provider, deployment.region), (Decimal(1), frozenset()))
    factor = Decimal(1) if deployment.model in exempt else factor
    base, output = _dollars(prices, "input_mtok", factor), _dollars(prices, "output_mtok", factor)
    if base is None or output is None:
        raise LookupError(f"genai-prices has no token price for {deployment.model_name}")
    price = Price(
        base,
        output,
        cached=_dollars(prices, "cache_read_mtok", factor),
        as_of=day.isoformat(),
        # Only OpenAI writes its cache unasked; elsewhere a write must be asked for, which the adapter does not do.
        cache_write=_dollars(prices, "cache_write_mtok", factor) if deployment.provider == "openai" else None,
    )
    return price, _first_tier(prices)


def differences(day: date | None = None) -> Iterator[tuple[Deployment, Price, str]]:
    """(deployment, published price, what is wrong) for each entry that does not agree; `day`: its own `as_of`."""
    for deployment in load_catalog(CATALOG):
        if deployment.provider in UNPRICED:
            continue
        as_of = day or (date.fromisoformat(deployment.price.as_of) if deployment.price else datetime.now(UTC).date())
        price, limit = published(deployment, as_of)
        if limit is not None and deployment.context_window > limit:
            yield deployment, price, f"context_window must end at {limit}, where a higher price begins"
        if deployment.price != price:
            yield deployment, price, f"price is {deployment.price}, published is {price}"


def _dollars(prices: ModelPrice, key: str, factor: Decimal) -> Decimal | None:
    value = getattr(prices, key, None)
    amount: Decimal | None = value.base if isinstance(value, TieredPrices) else value
    return None if amount is None else (amount * factor).normalize()


def _first_tier(prices: ModelPrice) -> int | None:
    tiers = [tier.start for value in vars(prices).values() if isinstance(value, TieredPrices) for tier in value.tiers]
    return min(tiers, default=None)


def _line(price: Price) -> str:
    names = ("input", "output", "cached", "cache_write")
    amounts = [f'{name} = "{getattr(price, name):f}"' for name in names if getattr(price, name) is not None]
    return f'price = {{ {", ".join(amounts)}, as_of = "{price.as_of}" }}'


def _write(prices: dict[str, Price]) -> None:
    def entry(match: re.Match[str]) -> str:
        price = prices.get(match["id"])
        return match[0] if price is None else _PRICE.sub(_line(price), match[0])

    CATALOG.write_text(_ENTRY.sub(entry, CATALOG.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> int:
    """Check, or write and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="rewrite the prices that differ")
    parser.add_argument("--as-of", type=date.fromisoformat, default=datetime.now(UTC).date(), help="day of the prices")
    arguments = parser.parse_args()
    if arguments.write:
        _write({deployment.id: price for deployment, price, _ in differences(arguments.as_of)})
    wrong = list(differences())
    for deployment, _, problem in wrong:
        print(f"{deployment.id}: {problem}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
