import logging
from collections.abc import Sequence

import pytest

from pipelines.guard.stage import GuardStage
from pipelines.guard.table import GUARDS, build_guard_stage
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job
from synthralos.settings import Settings
from tests.fakes.stage_jobs import a_deployment, a_job


class Says:
    """Says the same about every job."""

    def __init__(self, name: str, decision: Decision | None) -> None:
        self.name = name
        self._decision = decision

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        return [None if self._decision is None else Finding(self.name, self._decision, "because") for _ in jobs]


class FailsOn:
    """Has a bug that shows with one prompt."""

    name = "fails_on"

    def __init__(self, text: str) -> None:
        self._text = text

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        if any(self._text in job.request.texts() for job in jobs):
            raise ZeroDivisionError
        return [Finding(self.name, Decision.DEFER, "seen", defer_seconds=1.0) for _ in jobs]


class Forgets:
    """Answers for fewer jobs than it was asked about."""

    name = "forgets"

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        return []


def test_the_severest_finding_decides_and_all_are_kept() -> None:
    guards = [Says("a", Decision.FLAG), Says("b", Decision.DENY), Says("c", None), Says("d", Decision.DEFER)]
    [verdict] = GuardStage(guards).inspect([a_job()])
    assert verdict.decision is Decision.DENY
    assert [finding.guard for finding in verdict.findings] == ["a", "b", "d"]


def test_a_job_without_findings_is_allowed() -> None:
    assert [v.decision for v in GuardStage([Says("a", None)]).inspect([a_job(), a_job()])] == [Decision.ALLOW] * 2


def test_without_guards_every_job_is_allowed() -> None:
    assert [v.decision for v in GuardStage([]).inspect([a_job(), a_job()])] == [Decision.ALLOW] * 2


def test_an_empty_batch_has_no_verdicts() -> None:
    assert GuardStage([FailsOn("x")]).inspect([]) == []
    assert GuardStage([]).inspect([]) == []


def test_a_guard_that_raises_loses_neither_the_batch_nor_its_findings_on_the_neighbours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = a_job("odd")
    stage = GuardStage([FailsOn("odd"), Says("other", None)])
    verdicts = stage.inspect([a_job(), odd, a_job()])
    assert [v.decision for v in verdicts] == [Decision.DEFER, Decision.FLAG, Decision.DEFER]
    assert verdicts[1].findings[0].guard == "fails_on"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert odd.id in record.getMessage()


def test_a_guard_that_does_not_answer_for_every_job_is_treated_as_one_that_raises() -> None:
    verdicts = GuardStage([Forgets()]).inspect([a_job(), a_job()])
    assert [(v.decision, v.findings[0].guard) for v in verdicts] == [(Decision.FLAG, "forgets")] * 2


def test_the_stage_from_the_table_denies_what_is_too_large() -> None:
    stage = build_guard_stage(Settings(), Catalog([a_deployment(window=100)]))
    small, large = stage.inspect([a_job("Hello"), a_job("hello " * 200)])
    assert small.decision is Decision.ALLOW
    assert large.decision is Decision.DENY


def test_every_guard_of_the_table_carries_its_own_name() -> None:
    catalog = Catalog([a_deployment()])
    assert [make(Settings(), catalog).name for make in GUARDS.values()] == list(GUARDS)
