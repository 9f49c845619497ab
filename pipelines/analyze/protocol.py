"""What an exporter is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from synthralos.domain.exports import Destination, Rest

Trace = dict[str, Any]
"""A finished job's trace as `GET /api/v1/observability/traces/{id}/export` gives it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a destination answered to a shipment, by job ids.

    `accepted`: for good. `refused`: for good too, with the reason; they are set aside. What is in neither comes again:
    after a pause of its own, or when `rest` is over where the destination is to be left alone. `error` says why.
    """

    accepted: Sequence[str] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    rest: Rest | None = None
    error: str | None = None


class Exporter(Protocol):
    """Ships finished traces to one destination, at least once.

    Traces come from the database's backlog, never from the hot path; ids are ours, so a repeat overwrites at the
    destination. Only traces that may go there come, and without the secrets that we know.
    """

    @property
    def destination(self) -> Destination:
        """The name under which the backlog is kept, and what else is known of it beforehand."""
        ...

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """Send the traces, and wait for the answer; within `LEASE` seconds of the backlog, or they are sent twice.

        Raises what it likes where the destination does not answer: it is left alone, longer each time.
        """
        ...

    def close(self) -> None:
        """Flush and give back connections."""
        ...


@runtime_checkable
class Linking(Protocol):
    """An exporter whose destination has a page for each trace."""

    def link(self) -> str | None:
        """The page's address, with `{trace_id}` in it; None: it cannot be told now."""
        ...


def accepted(traces: Sequence[Trace]) -> Answer:
    """All of them were."""
    return Answer([trace["job"]["id"] for trace in traces])
