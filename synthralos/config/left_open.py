"""What a deployment's entry leaves open, and what follows from that: said to whom sets it, and refused to nobody."""

from synthralos.domain.deployments import Deployment
from synthralos.domain.residency import RESIDENCIES


def left_open(deployment: Deployment) -> list[str]:
    """A sentence for each thing that is not declared, or declared so that nothing goes by it."""
    found = []
    if deployment.price is None:
        found.append(
            "price: unknown, so its calls cost an unknown amount, never 0; it comes after deployments whose price is "
            "known, and jobs with a max_cost_usd never go there"
        )
    if deployment.residency is None:
        found.append(
            f"residency: not declared, and the region's name ({deployment.region}) declares none; data classified "
            "eu is kept from it"
        )
    elif deployment.residency not in RESIDENCIES:
        known = ", ".join(sorted(RESIDENCIES))
        found.append(f"residency: {deployment.residency} is none of {known}; data classified eu is kept from it")
    return found
