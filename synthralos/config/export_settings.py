"""Settings of exports: where traces go, what may go there, and how much may wait."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from synthralos.config.connection_settings import Count, Positive
from synthralos.config.guard_settings import GuardSettings


def _plain(residency: str) -> str:
    """As residencies are written elsewhere: `EU` would open nothing."""
    return residency.strip().lower()


Residency = Annotated[str, AfterValidator(_plain)]


class ExportSettings(GuardSettings):
    """See `settings.Settings`."""

    trace_export_file: Path | None = Field(None, description="JSON-lines file that finished traces are appended to")
    trace_export_residency: Residency | None = Field(
        None, description="where that file stays, such as eu; undeclared, no trace of EU-classified data is written"
    )
    export_max_age_days: Positive = Field(
        7.0, description="days that a trace is owed to a destination, or set aside, before it is dropped"
    )
    export_backlog_most: Count = Field(
        1_000_000, description="traces that a destination may be owed; beyond that the oldest are dropped"
    )
