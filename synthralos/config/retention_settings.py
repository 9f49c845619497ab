"""Settings of housekeeping: how long what is kept, where organizations have no times of their own."""

from typing import Self

from pydantic import Field, model_validator

from synthralos.config.connection_settings import Positive
from synthralos.config.guard_settings import GuardSettings
from synthralos.domain.retention import LONGEST_DAYS, RULES, Kind, errors

_NAMED = {
    Kind.SIMILARITY: "similarity_days",
    Kind.IDEMPOTENCY_KEYS: "idempotency_days",
    Kind.EXPORTS: "export_max_age_days",
}
"""Those that had a setting before there were times for all."""


def _days(kind: Kind) -> float:
    rule = RULES[kind]
    days: float = Field(rule.days, ge=rule.least, le=LONGEST_DAYS, description=f"days: {rule.meaning}")
    return days


class RetentionSettings(GuardSettings):
    """See `settings.Settings`."""

    idempotency_days: Positive = Field(30.0, description="days for which an Idempotency-Key answers a repeat")
    retention_payloads_days: float = _days(Kind.PAYLOADS)
    retention_jobs_days: float = _days(Kind.JOBS)
    retention_dead_letters_days: float = _days(Kind.DEAD_LETTERS)
    retention_accounts_days: float = _days(Kind.ACCOUNTS)
    retention_events_days: float = _days(Kind.EVENTS)
    retention_happenings_days: float = _days(Kind.HAPPENINGS)
    retention_firings_days: float = _days(Kind.FIRINGS)
    retention_audit_days: float = _days(Kind.AUDIT)
    retention_waits_days: float = _days(Kind.WAITS)
    retention_runs_days: float = _days(Kind.RUNS)
    retention_imports_days: float = _days(Kind.IMPORTS)
    retention_breakers_days: float = _days(Kind.BREAKERS)
    retention_deliveries_days: float = _days(Kind.DELIVERIES)
    retention_incidents_days: float = _days(Kind.INCIDENTS)
    retention_processes_days: float = _days(Kind.PROCESSES)
    retention_share: float = Field(
        0.05, gt=0, le=1, description="share of its time that the leading scheduler spends on retention and erasure"
    )

    @property
    def retention_days(self) -> dict[Kind, float]:
        """Days by kind."""
        return {kind: getattr(self, _NAMED.get(kind, f"retention_{kind}_days")) for kind in Kind}

    @model_validator(mode="after")
    def _parts_are_not_kept_longer(self) -> Self:
        days = {**self.retention_days}
        for kind in _NAMED:  # these had no bounds before
            days[kind] = RULES[kind].days
        for wrong in errors(days):
            raise ValueError(f"RETENTION_{wrong.kind.upper()}_DAYS: {wrong.problem}: {wrong.remedy}")
        return self
