"""What an incident says of itself in a sentence, by its evidence."""

from collections.abc import Callable, Mapping

from synthralos.domain.detection import Reading
from synthralos.domain.incidents import IncidentKind

_REASONS: Mapping[IncidentKind, Callable[[Reading], str]] = {
    IncidentKind.ERROR_RATE: lambda found: (
        f"{found.measured:.1%} of {found.calls:.0f} calls failed within {found.seconds:.0f} s;"
        f" {found.baseline:.1%} are usual"
    ),
    IncidentKind.LATENCY: lambda found: (
        f"{found.calls:.0f} calls within {found.seconds:.0f} s took {found.measured:.1f} times as long as usual"
        " for the length of their answers"
    ),
    IncidentKind.COST_PER_TOKEN: lambda found: (
        f"tokens of {found.calls:.0f} calls within {found.seconds:.0f} s cost {found.measured:.2f} times as much"
        " as usual"
    ),
    IncidentKind.QUEUE_AGE: lambda found: (
        f"the oldest queued job has waited for {found.measured:.0f} s; {found.baseline:.0f} s are usual"
    ),
    IncidentKind.STUCK_JOBS: lambda found: f"{found.measured:.0f} jobs that should move do not",
}


def reason_of(kind: IncidentKind, reading: Reading) -> str:
    """The sentence."""
    return _REASONS[kind](reading)


_LEVELS: Mapping[IncidentKind, Callable[[float], str]] = {
    IncidentKind.ERROR_RATE: lambda level: f"{level:.1%} of the calls failing",
    IncidentKind.QUEUE_AGE: lambda level: f"a wait of {level:.0f} s",
}


def forecast_of(kind: IncidentKind, reading: Reading, in_seconds: float) -> str:
    """The sentence of a forecast."""
    level = _LEVELS[kind]
    return f"rises to {level(reading.limit)} in about {in_seconds / 60:.0f} min, from {level(reading.measured)} now"
