"""Residency: where a deployment is declared to process data, and where data of a class may go (promise 4).

Apart from the region, which is a name: `westeurope` may be in the EU, and nothing but a declaration says so.
"""

from collections.abc import Mapping
from typing import Literal

RESIDENCIES = frozenset({"eu", "us", "global"})
"""The residencies that a region's name declares where a deployment says nothing itself."""

RESIDENCY_OF_CLASSIFICATION: Mapping[str, str | None] = {"eu": "eu", "none": None}
"""The only residency that data of a class may ever go to; None: anywhere. No other class is known."""


Unclassified = Literal["none", "eu", "refuse"]
"""What data is taken for of which nobody says a class: `refuse`, and it is not taken at all."""


def declared_by(region: str) -> str | None:
    """The residency that a region's name declares; None where it declares none."""
    return region if region in RESIDENCIES else None


def home_of(classification: str | None) -> str | None:
    """The residency that data of this class is bound to; None where it is bound to none, or the class is unknown."""
    return RESIDENCY_OF_CLASSIFICATION.get((classification or "").strip().lower())


def kept_from(classification: str | None, residency: str | None, what: str = "deployment") -> str | None:
    """Why data of this class may not go to where `residency` is declared (None: nowhere); None where it may."""
    if classification is None:
        return None
    if classification.strip().lower() not in RESIDENCY_OF_CLASSIFICATION:
        return f"nothing is known about where data classified {classification} may go"
    home = home_of(classification)
    if home in (None, residency):
        return None
    declared = f"this {what} declares none" if residency is None else f"that of this {what} is {residency}"
    return f"data classified {classification} may only go where residency is {home}, and {declared}"
