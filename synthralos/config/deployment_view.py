"""A deployment as people see it: in the API and on the command line."""

from typing import Any

from synthralos.domain.deployments import Deployment
from synthralos.domain.exclusions import Cause
from synthralos.domain.money import Price, Rates, Tariff

SWITCHED_OFF = Cause("disabled").text


def deployment_view(deployment: Deployment, why_not: str | None) -> dict[str, Any]:
    """The deployment as plain values; `why_not` says what keeps it from being used, if anything does."""
    price = deployment.price
    if not deployment.enabled:
        why_not = SWITCHED_OFF
    return {
        "id": deployment.id,
        "model": deployment.model_name,
        "region": deployment.region,
        "residency": deployment.residency,
        "zero_retention": deployment.zero_retention,
        "enabled": deployment.enabled,
        "tier": str(deployment.tier),
        "context_window": deployment.context_window,
        "max_output": deployment.max_output,
        "max_in_flight": deployment.max_in_flight,
        "rpm": deployment.rpm,
        "tpm": deployment.tpm,
        "timeout": deployment.timeout,
        "capabilities": sorted(deployment.abilities),
        "price": None if price is None else price_view(price),
        "usable": why_not is None,
        "why_not": why_not,
    }


def price_view(price: Price) -> dict[str, Any]:
    """A price with all its tiers and dates: USD per million tokens, as decimals in text."""
    later = [{"valid_from": each.valid_from, **_terms(each)} for each in price.later]
    return {**_terms(price), "as_of": price.as_of, "later": later}


def _terms(price: Price) -> dict[str, Any]:
    tiers = {str(tier): _tariff(tariff) for tier, tariff in price.service_tiers.items()}
    return {**_tariff(price.tariffs["standard"]), "service_tiers": tiers}


def _tariff(tariff: Tariff) -> dict[str, Any]:
    return {**_rates(tariff.rates), "above": [{"prompt": start, **_rates(rates)} for start, rates in tariff.above]}


def _rates(rates: Rates) -> dict[str, Any]:
    kinds = {name: getattr(rates, name) for name in ("input", "output", "cached", "cache_write", "cache_write_1h")}
    return {name: None if price is None else format(price, "f") for name, price in kinds.items()}
