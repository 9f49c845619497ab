"""What an exporter is."""

from collections.abc import Sequence
from typing import Any, Protocol

Trace = dict[str, Any]
"""A finished job's trace as `GET /api/v1/observability/traces/{id}/export` gives it."""


class Exporter(Protocol):
    """Ships finished traces to one destination, at least once.

    Traces come from the database's backlog, never from the hot path. What `ship` does not return stays
    in the backlog and comes again; ids are ours, so a repeat overwrites at the destination.
    """

    @property
    def destination(self) -> str:
        """The name under which the backlog is kept."""
        ...

    def ship(self, traces: Sequence[Trace]) -> list[str]:
        """Send the traces; the job ids of those that the destination has accepted for good.

        Raises what it likes where none was: the reason is logged, and the traces come again.
        """
        ...

    def close(self) -> None:
        """Flush and give back connections."""
        ...
