"""The plans that an organization may be on."""

from enum import StrEnum


class AccountPlan(StrEnum):
    """What an organization pays for; guards and routing read it. New organizations are on `free`."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"
