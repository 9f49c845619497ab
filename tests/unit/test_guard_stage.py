import logging
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import orjson
import pytest

from pipelines.guard.stage import Counted, GuardStage
from pipelines.guard.table import GUARDS, Tools, build_guard_stage
from pipelines.tokens import TokenCounter
from synthralos.domain.deployments import Catalog
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job
from tests.fakes.stage_jobs import a_deployment, a_job
from tests.fakes.stages import a_config, a_limiter


class Says:
    """Says the same about every job."""

    def __init__(self, name: str, decision: Decision | None) -> None:
        self.name = name
        self._decision = decision

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        return [None if self._decision is None else Finding(self.name, self._decision, "because") for _ in jobs]


class Notes:
    """Remembers whom it was asked about, and has something to say of each."""

    name = "notes"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        self.asked += [job.request.texts()[0] for job in jobs]
        return [Finding(self.name, Decision.FLAG, "noted") for _ in jobs]


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


def test_every_finding_is_counted_once() -> None:
    counted: list[tuple[str, Decision]] = []
    stage = GuardStage([Says("a", Decision.FLAG), Says("c", None)], [Says("gate", Decision.DENY)], counting(counted))
    stage.inspect([a_job(), a_job()])
    assert sorted(counted) == [("a", Decision.FLAG)] * 2 + [("gate", Decision.DENY)] * 2


def counting(counted: list[tuple[str, Decision]]) -> Counted:
    return lambda finding: counted.append((finding.guard, finding.decision))


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
    assert (record.__dict__["trace_id"], record.__dict__["job_id"]) == (odd.trace_id, odd.id)


class Stops:
    """Denies, puts off, flags or lets through, as the prompt says."""

    name = "stops"

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        words = [job.request.texts()[0] for job in jobs]
        return [None if w == "allow" else Finding(self.name, Decision(w), "so it says", defer_seconds=1) for w in words]


def test_a_gate_is_asked_about_those_whom_nobody_has_stopped() -> None:
    first, second = Notes(), Notes()
    jobs = [a_job(word) for word in ("deny", "allow", "defer", "flag")]
    verdicts = GuardStage([Stops()], [first, second]).inspect(jobs)
    assert first.asked == second.asked == ["allow", "flag"]
    assert [v.decision for v in verdicts] == [Decision.DENY, Decision.FLAG, Decision.DEFER, Decision.FLAG]
    assert [len(v.findings) for v in verdicts] == [1, 2, 1, 3]


def test_a_gate_is_not_asked_about_those_whom_the_gate_before_it_stopped() -> None:
    last = Notes()
    GuardStage([], [Stops(), last]).inspect([a_job("deny"), a_job("allow")])
    assert last.asked == ["allow"]


def test_a_guard_that_does_not_answer_for_every_job_is_treated_as_one_that_raises() -> None:
    verdicts = GuardStage([Forgets()]).inspect([a_job(), a_job()])
    assert [(v.decision, v.findings[0].guard) for v in verdicts] == [(Decision.FLAG, "forgets")] * 2


def test_the_stage_from_the_table_denies_what_is_too_large() -> None:
    stage = build_guard_stage(a_config(Catalog([a_deployment(window=100)])), Tools(TokenCounter(), a_limiter()))
    small, large = stage.inspect([a_job("Hello"), a_job("hello " * 200)])
    assert small.decision is Decision.ALLOW
    assert large.decision is Decision.DENY


def test_every_guard_of_the_table_carries_its_own_name() -> None:
    config = a_config(Catalog([a_deployment()]))
    assert [make(config, Tools(TokenCounter(), a_limiter())).name for make in GUARDS.values()] == list(GUARDS)


class Measures:
    """Flags every job with one value that it measured."""

    name = "measures"

    def __init__(self, value: object, **more: object) -> None:
        self._value = value
        self._more = more

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        flagged: Any = partial(Finding, self.name, Decision.FLAG, "measured", signals={"value": self._value})
        return [flagged(**self._more) for _ in jobs]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ({3, 1, 2}, [1, 2, 3]),
        (2**70, str(2**70)),
        (float("nan"), None),
        (Decimal("0.10"), "0.10"),
        ({1: (True, None)}, {"1": [True, None]}),
        (Decision.FLAG, "flag"),
    ],
)
def test_findings_leave_as_plain_json(value: object, stored: object) -> None:
    [verdict] = GuardStage([Measures(value)]).inspect([a_job()])
    [finding] = verdict.findings
    assert finding.signals == {"value": stored}
    assert orjson.loads(orjson.dumps(verdict.to_json())) == verdict.to_json()


def itself() -> list[object]:
    endless: list[object] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "guard", [Measures(object()), Measures(itself()), Measures(1, defer_seconds=float("nan")), Measures(b"\xff")]
)
def test_a_finding_without_a_form_in_json_is_a_bug_of_its_guard_alone(guard: Measures) -> None:
    [verdict] = GuardStage([guard, Says("other", Decision.DENY)]).inspect([a_job()])
    failed, other = verdict.findings
    assert (failed.guard, failed.decision) == ("measures", Decision.FLAG)
    assert "did not look at this job" in failed.reason
    assert (other.guard, verdict.decision) == ("other", Decision.DENY)
