"""What finished jobs did at the stages, in sum: how often, for how long, and how often it failed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from synthralos.domain.observing import Fact, Histogram, SumKey, begin_of, rolled_up


@dataclass(slots=True)
class StageSums:
    """`jobs` were at the stage, `visits` times in all, of which `failed` did; `total_seconds` are those of all visits.

    A job counts once for each of its ends, however often it came by.
    """

    jobs: int = 0
    visits: int = 0
    failed: int = 0
    total_seconds: float = 0.0
    seconds: Histogram = field(default_factory=Histogram)

    def take(self, other: "StageSums") -> None:
        """Count all that the other one has."""
        self.jobs += other.jobs
        self.visits += other.visits
        self.failed += other.failed
        self.total_seconds += other.total_seconds
        self.seconds.take(other.seconds)


def stages_of(fact: Fact) -> dict[str, StageSums]:
    """The sums of one job by stage."""
    found: dict[str, StageSums] = {}
    _add(fact, found)
    return found


def stage_sums_of(facts: Iterable[Fact], minutes_since: datetime) -> dict[SumKey, StageSums]:
    """As `observing.sums_of`, by `STAGE_DIMENSIONS`."""
    found: dict[tuple[datetime, str, str], dict[str, StageSums]] = {}
    for fact in facts:
        tenant = begin_of("minute", fact.finished_at), fact.organization, fact.workspace
        if (of_tenant := found.get(tenant)) is None:
            of_tenant = found[tenant] = {}
        _add(fact, of_tenant)
    by_stage: dict[tuple[datetime, tuple[str, ...]], StageSums] = {
        (minute, (organization, workspace, stage)): sums
        for (minute, organization, workspace), of_tenant in found.items()
        for stage, sums in of_tenant.items()
    }
    return rolled_up(by_stage, minutes_since, StageSums)


def _add(fact: Fact, by_stage: dict[str, StageSums]) -> None:
    been = set()
    for stage, seconds, failed in fact.visits:
        if (sums := by_stage.get(stage)) is None:
            sums = by_stage[stage] = StageSums()
        if stage not in been:
            been.add(stage)
            sums.jobs += 1
        sums.visits += 1
        sums.failed += failed
        sums.total_seconds += seconds
        sums.seconds.add(seconds)
