"""The guard stage: asks every guard about the whole batch and makes one verdict per job of it.

A guard that raises, or that does not answer for every job, has a bug. The batch must not pay for that: the
jobs are shown to that guard one by one, and those it still fails on carry a `flag` finding that names it. They
go on, because a guard's bug must not stop the traffic; that they went unguarded is on record and in the log.
A finding leaves this room as plain JSON values: one that has no such form is its guard's bug too.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.guard.protocol import Guard
from pipelines.guard.remote import RemoteGuards
from synthralos.domain.findings import PASSED, Decision, Finding, Verdict, verdict_of
from synthralos.domain.jobs import Job
from synthralos.domain.json_values import plain
from synthralos.telemetry.context import about

_log = logging.getLogger(__name__)

Findings = list[Finding | None]
Counted = Callable[[Finding], None]


class GuardStage:
    """All guards, in the order in which their findings are listed."""

    def __init__(
        self,
        guards: Sequence[Guard],
        gates: Sequence[Guard] = (),
        counted: Counted | None = None,
        remotes: RemoteGuards | None = None,
    ) -> None:
        """`remotes` are asked about those whom no guard has stopped, all together; then `gates`, one by one.

        `counted` is told of each finding.
        """
        self._counted = counted
        self._remotes = remotes
        self._guards = tuple(guards)
        self._gates = tuple(gates)

    @property
    def names(self) -> frozenset[str]:
        """The names of all guards."""
        remote = frozenset() if self._remotes is None else self._remotes.names
        return frozenset(guard.name for guard in (*self._guards, *self._gates)) | remote

    def inspect(self, jobs: Sequence[Job]) -> list[Verdict]:
        """One verdict per job, in the order of `jobs`: the severest finding decides."""
        verdicts = [PASSED] * len(jobs)
        if self._guards:
            columns = [_ask(guard, jobs) for guard in self._guards]
            verdicts = [
                verdict_of([f for f in row if f is not None]) if any(row) else PASSED
                for row in zip(*columns, strict=True)
            ]
        if self._remotes is not None:
            _pass_remotes(self._remotes, jobs, verdicts)
        for gate in self._gates:
            verdicts = _pass(gate, jobs, verdicts)
        if self._counted is not None:
            for finding in (found for verdict in verdicts for found in verdict.findings):
                self._counted(finding)
        return verdicts


def _pass(gate: Guard, jobs: Sequence[Job], verdicts: list[Verdict]) -> list[Verdict]:
    """The verdicts with what the gate found in the jobs that may go on so far."""
    going = [place for place, verdict in enumerate(verdicts) if verdict.goes_on]
    findings = _ask(gate, jobs if len(going) == len(jobs) else [jobs[place] for place in going]) if going else []
    for place, finding in zip(going, findings, strict=True):
        if finding is not None:
            verdicts[place] = verdict_of([*verdicts[place].findings, finding])
    return verdicts


def _pass_remotes(remotes: RemoteGuards, jobs: Sequence[Job], verdicts: list[Verdict]) -> None:
    """Add to the verdicts what remote guards found in the jobs that may go on so far."""
    going = [place for place, verdict in enumerate(verdicts) if verdict.goes_on]
    for place, findings in zip(going, remotes.inspect([jobs[place] for place in going]), strict=True):
        if findings:
            verdicts[place] = verdict_of([*verdicts[place].findings, *(_plain(each, jobs[place]) for each in findings)])


def _ask(guard: Guard, jobs: Sequence[Job]) -> Findings:
    try:
        findings = guard.inspect(jobs)
        if len(findings) != len(jobs):
            raise ValueError(f"{len(findings)} findings for {len(jobs)} jobs")
        return [None if found is None else _plain(found, job) for found, job in zip(findings, jobs, strict=True)]
    except Exception as error:  # noqa: BLE001 - the edge to pluggable code: its bug must not lose the batch
        return _ask_one_by_one(guard, jobs, error)


def _plain(finding: Finding, job: Job) -> Finding:
    """The finding with plain JSON values; raises `TypeError` or `ValueError` where it has none.

    Guards call what they read `messages`; the job's request may have another name for it.
    """
    seconds, field = finding.defer_seconds, finding.field
    if field == "messages":
        field = job.request.prompt_field
    return replace(
        finding,
        guard=str(finding.guard),
        decision=Decision(finding.decision),
        reason=str(finding.reason),
        field=None if field is None else str(field),
        defer_seconds=None if seconds is None else _seconds(seconds),
        signals=plain(finding.signals),
    )


def _seconds(value: float) -> float:
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"defer_seconds is {seconds}")
    return seconds


def _ask_one_by_one(guard: Guard, jobs: Sequence[Job], error: Exception) -> Findings:
    if len(jobs) > 1:
        return [finding for job in jobs for finding in _ask(guard, [job])]
    for job in jobs:
        _log.error("guard %s failed on job %s", guard.name, job.id, exc_info=error, extra=about(job))
    return [_unguarded(guard, error) for _ in jobs]


def _unguarded(guard: Guard, error: Exception) -> Finding:
    reason = f"the {guard.name} guard failed and did not look at this job: tell the operator"
    return Finding(guard.name, Decision.FLAG, reason, signals={"error": type(error).__name__})
