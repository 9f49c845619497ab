"""A deployment as people see it: in the API and on the command line."""

from typing import Any

from synthralos.domain.deployments import Deployment

SWITCHED_OFF = "it is switched off in the catalog (enabled is false)"


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
        "timeout": deployment.timeout,
        "capabilities": sorted(deployment.capabilities),
        "price": None
        if price is None
        else {name: getattr(price, name) for name in ("input", "output", "cached", "cache_write", "as_of")},
        "usable": why_not is None,
        "why_not": why_not,
    }
