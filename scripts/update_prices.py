"""Compare the built-in catalog's prices with genai-prices; with `--write`, bring them up to date.

Run as `python -m scripts.update_prices`. Exits 1 and names each difference when the catalog is not up to date. The
catalog's layout and comments stay as they are: only `price = …` changes.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from synthralos.config.catalog import load_catalog
from synthralos.domain.deployments import Deployment
from synthralos.domain.money import Price, Rates, ServiceTier, Tariff

CATALOG = Path(__file__).resolve().parents[1] / "synthralos" / "config" / "catalog.toml"

UNPRICED = frozenset({"sandbox"})
"""Providers whose prices are not anybody's."""

UPLIFT = {
    ("openai", "eu"): (Decimal("1.1"), frozenset({"gpt-4.1-mini"})),
}
"""What a region costs more, and the models that are exempt: OpenAI charges data residency 10 % more for models
released on or after 2026-03-05 (OpenAI, "Data residency")."""

_ENTRY = re.compile(r'^\[\[deployment\]\]\nid = "(?P<id>[^"]+)"\n(?:(?!\[\[).*\n)*', re.M)
_PRICE = re.compile(r"^price = .*\n(?:[ \]].*\n)*", re.M)

_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}
CONTEXTS: dict[ServiceTier, dict[str, str]] = {
    ServiceTier.FLEX: {"service_tier": "flex"},
    ServiceTier.PRIORITY: {"service_tier": "priority"},
    ServiceTier.BATCH: {"processing": "batch"},
}
"""What genai-prices calls the service tiers."""


def published(deployment: Deployment, day: date) -> Price:
    """The published price of `deployment` on `day`, with what is announced to follow.

    Raises `LookupError` for a model that genai-prices does not know.
    """
    _, model = data_snapshot.get_snapshot().find_provider_model(
        deployment.upstream_model, None, deployment.provider, None
    )
    factor = uplift(deployment)
    later = [
        Price(as_of=day.isoformat(), valid_from=start.isoformat(), **_terms(model, start, factor, deployment))
        for start in _starts(model)
        if start > day
    ]
    return Price(as_of=day.isoformat(), later=tuple(later), **_terms(model, day, factor, deployment))


def uplift(deployment: Deployment) -> Decimal:
    """What the deployment's region costs, as a factor."""
    factor, exempt = UPLIFT.get((deployment.provider, deployment.region), (Decimal(1), frozenset()))
    return Decimal(1) if deployment.model in exempt else factor


def _starts(model: ModelInfo) -> list[date]:
    """The days from which something of the model costs something else."""
    prices = model.prices if isinstance(model.prices, list) else []
    dated = [*prices, *(model.price_variants or [])]
    return sorted({each.constraint.start_date for each in dated if isinstance(each.constraint, StartDateConstraint)})


def _terms(model: ModelInfo, day: date, factor: Decimal, deployment: Deployment) -> dict[str, Any]:
    noon = datetime.combine(day, time(12), UTC)
    standard = _tariff(model.get_prices(noon), factor, deployment)
    tiers = {
        tier: _tariff(model.get_prices(noon, context), factor, deployment)
        for tier, context in CONTEXTS.items()
        if _has_variant(model, context, noon)
    }
    return {
        **{name: getattr(standard.rates, name) for name in _KEYS},
        "above": standard.above,
        "service_tiers": tiers,
    }


def _has_variant(model: ModelInfo, context: dict[str, str], moment: datetime) -> bool:
    variants = [each for each in model.price_variants or [] if each.when == context]
    return any(each.constraint is None or each.constraint.active(moment) for each in variants)


def _tariff(prices: ModelPrice, factor: Decimal, deployment: Deployment) -> Tariff:
    values = {name: getattr(prices, key, None) for name, key in _KEYS.items()}
    if deployment.embeds and values["output"] is None:
        values["output"] = Decimal(0)  # vectors are no tokens
    starts = {tier.start for value in values.values() if isinstance(value, TieredPrices) for tier in value.tiers}
    return Tariff(
        _rates(values, 0, factor), tuple((start, _rates(values, start + 1, factor)) for start in sorted(starts))
    )


def _rates(values: dict[str, Decimal | TieredPrices | None], prompt: int, factor: Decimal) -> Rates:
    found = {name: _at(value, prompt) for name, value in values.items()}
    if found["input"] is None or found["output"] is None:
        raise LookupError("genai-prices has no price for the tokens of a model")
    return Rates(**{name: None if price is None else (price * factor).normalize() for name, price in found.items()})


def _at(value: Decimal | TieredPrices | None, prompt: int) -> Decimal | None:
    if not isinstance(value, TieredPrices):
        return value
    return next((tier.price for tier in reversed(value.tiers) if prompt > tier.start), value.base)


def differences(day: date | None = None) -> Iterator[tuple[Deployment, Price, str]]:
    """(deployment, published price, what is wrong) for each entry that does not agree; `day`: its own `as_of`."""
    for deployment in load_catalog(CATALOG):
        if deployment.provider in UNPRICED:
            continue
        as_of = day or (date.fromisoformat(deployment.price.as_of) if deployment.price else datetime.now(UTC).date())
        price = published(deployment, as_of)
        if deployment.price != price:
            yield deployment, price, f"price is {deployment.price}, published is {price}"


def _lines(price: Price) -> str:
    """The entry's `price`; within the braces of a table TOML allows new lines in lists alone."""
    standard = price.tariffs[ServiceTier.STANDARD]
    later = "".join(f'  {{ valid_from = "{each.valid_from}", {_members(each)} }},\n' for each in price.later)
    follows = f", later = [\n{later}]" if later else ""
    return f'price = {{ {_amounts(standard.rates)}, as_of = "{price.as_of}"{_beside(price)}{follows} }}\n'


def _members(price: Price) -> str:
    return f"{_amounts(price.tariffs[ServiceTier.STANDARD].rates)}{_beside(price)}"


def _beside(price: Price) -> str:
    standard = price.tariffs[ServiceTier.STANDARD]
    tiers = ", ".join(f"{tier} = {_tier(tariff, standard)}" for tier, tariff in price.service_tiers.items())
    return _above(standard) + (f", service_tiers = {{ {tiers} }}" if tiers else "")


def _tier(tariff: Tariff, standard: Tariff) -> str:
    factor = tariff.rates.output / standard.rates.output if standard.rates.output else Decimal(1)
    if standard.times(factor) == tariff:
        return f'"{factor.normalize():f}"'
    return f"{{ {_amounts(tariff.rates)}{_above(tariff)} }}"


def _above(tariff: Tariff) -> str:
    steps = "".join(f"  {{ prompt = {start:_}, {_amounts(rates)} }},\n" for start, rates in tariff.above)
    return f", above = [\n{steps}]" if steps else ""


def _amounts(rates: Rates) -> str:
    return ", ".join(f'{name} = "{getattr(rates, name):f}"' for name in _KEYS if getattr(rates, name) is not None)


def _write(prices: dict[str, Price]) -> None:
    def entry(match: re.Match[str]) -> str:
        price = prices.get(match["id"])
        return match[0] if price is None else _PRICE.sub(lambda _: _lines(price), match[0])

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
