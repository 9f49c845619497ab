"""A simulation: recorded jobs, ruled once by the policies in force and once with a draft among them, and compared.

Nothing is stored or called. What it keeps is bounded by the rules and the catalog, however many jobs it takes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts
from pipelines.policies.fields import Source
from pipelines.policies.recorded import guards_alone, recorded_job
from synthralos.domain.failures import Failure
from synthralos.domain.findings import Decision, Verdict
from synthralos.domain.jobs import Job
from synthralos.domain.money import Costs
from synthralos.domain.overlays import NO_DEMANDS
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.policies import UNRULED, PolicySet, Ruling

SAMPLES = 20
"""Ids of jobs that are told for one kind of change, the newest ones."""

RESTS_EVERY = 32
"""Jobs between two moments at which other threads of the process may go on: some milliseconds."""

_SEVERITY = list(Decision)

Plan = Callable[[Sequence[Job]], Sequence[RoutingPlan | Failure]]
CostsOf = Callable[[Job], Costs]


class Sets(NamedTuple):
    """The policy sets that are compared, and the id of the draft among those of `after`."""

    before: tuple[PolicySet, ...]
    after: tuple[PolicySet, ...]
    draft: str


def sets_with(in_force: Iterable[PolicySet], draft: PolicySet, now: datetime) -> Sets:
    """The sets that hold now, and the same with the draft in the place of the set that has its id, else beside them.

    The draft counts as if it were enforced, whatever it says of `enabled`, `shadow` and its dates.
    """
    before = [_undated(each) for each in in_force if each.enabled and each.effective(now)]
    others = [each for each in before if each.id != draft.id]
    enforced = replace(_undated(draft), enabled=True, shadow=False)
    return Sets(tuple(before), (*others, enforced), draft.id)


def _undated(policy: PolicySet) -> PolicySet:
    """Recorded jobs are judged at the time at which they came; whether a set holds is a matter of today."""
    return replace(policy, effective_from=None, effective_until=None)


@dataclass(slots=True)
class Tally:
    """How many jobs, and the ids of the first of them."""

    jobs: int = 0
    sample: list[str] = field(default_factory=list)

    def note(self, job_id: str) -> None:
        """One more."""
        self.jobs += 1
        if len(self.sample) < SAMPLES:
            self.sample.append(job_id)

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {"jobs": self.jobs, "sample_job_ids": self.sample}


class _Way(NamedTuple):
    """What becomes of a job: what is decided, and where it goes first. `cost`: USD; None where it is not known."""

    decision: Decision
    deployment: str | None
    cost: Decimal | None

    @property
    def goes(self) -> bool:
        """Whether it reaches a provider, now or later."""
        return self.deployment is not None


_DENIED = _Way(Decision.DENY, None, Decimal(0))


class _Judgment(NamedTuple):
    """What policies say about a job, after the guards: in force, and with the draft."""

    job: Job
    seen: Verdict
    was: Ruling
    would: Ruling

    @property
    def same(self) -> bool:
        was, would = self.was, self.would
        return was is would or (was.decision is would.decision and was.overlay == would.overlay)


class _Spending:
    """What the jobs are estimated to cost: the known part, and how many are not known."""

    def __init__(self) -> None:
        self.usd, self.unknown = Decimal(0), 0

    def add(self, way: _Way) -> None:
        if way.cost is None:
            self.unknown += 1
        else:
            self.usd += way.cost


class Simulation:
    """Takes recorded jobs, batch by batch, and reports what the draft changes. Belongs to one thread at a time."""

    def __init__(self, sets: Sets, plan: Plan, costs: CostsOf, rest: Callable[[], None] = lambda: None) -> None:
        """`plan` says where jobs go under the demands of their verdicts, `costs` what an attempt at one costs.

        `rest` is called every few jobs.
        """
        self._before, self._after, self._draft = CompiledPolicies(sets.before), CompiledPolicies(sets.after), sets.draft
        self._draft_alone = CompiledPolicies([each for each in sets.after if each.id == sets.draft])
        self._plan, self._costs, self._rest = plan, costs, rest
        self.jobs = self.stopped = self.going = 0
        self.oldest: datetime | None = None
        self.newest: datetime | None = None
        self._kept_by_guards = self.changed = 0
        self._decisions: dict[tuple[Decision, Decision], Tally] = {}
        self._moves: dict[tuple[str | None, str | None], Tally] = {}
        self._used: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._spent = (_Spending(), _Spending())
        self._rules: dict[str, Tally] = {}
        self._errors: Counter[str] = Counter()

    @property
    def stopped_percent(self) -> float:
        """Of the jobs that reach a provider now, the percentage that no longer would."""
        return 100 * self.stopped / self.going if self.going else 0.0

    def take(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Compare these jobs, newest first, by their columns."""
        for first in range(0, len(rows), RESTS_EVERY):
            self._rest()
            self._take([recorded_job(row) for row in rows[first : first + RESTS_EVERY]])

    def _take(self, jobs: Sequence[Job]) -> None:
        judged = [judgment for job in jobs if (judgment := self._judged(job)) is not None]
        before = self._ways([(each.job, each.seen, each.was) for each in judged])
        # Where policies say the same, nothing is planned a second time.
        others = iter(self._ways([(each.job, each.seen, each.would) for each in judged if not each.same]))
        for each, way in zip(judged, before, strict=True):
            self._note(each.job.id, way, way if each.same else next(others))

    def _judged(self, job: Job) -> _Judgment | None:
        """What policies say before and after; None where guards kept the job from them."""
        self.jobs += 1
        self.newest, self.oldest = self.newest or job.created_at, job.created_at
        seen = guards_alone(job.verdict)
        if not (seen.goes_on or seen.decision is Decision.REUSE):
            self._kept_by_guards += 1
            return None
        facts = Facts(job.created_at, Source(job, seen, lambda: self._costs(job)))
        was, would = self.rulings(facts)
        self._note_rules(job.id, would)
        return _Judgment(job, seen, was, would)

    def rulings(self, facts: Facts) -> tuple[Ruling, Ruling]:
        """What the policies decide before and after; the other sets are asked once, where that is enough."""
        was, alone = self._before.decide(facts), self._draft_alone.decide(facts)
        if any(reason.set_id == self._draft for reason in was.reasons):
            return was, self._after.decide(facts)
        if was.overlay.prefer and alone.overlay.prefer:  # which comes first is a matter of scopes and priorities
            return was, self._after.decide(facts)
        return was, was if alone is UNRULED else _together(was, alone)

    def _ways(self, ruled: Sequence[tuple[Job, Verdict, Ruling]]) -> list[_Way]:
        """What becomes of the jobs under these rulings, in their order."""
        planned = []
        for job, seen, ruling in ruled:
            if not _denied(ruling, seen):
                job.verdict = seen.demanding(ruling.overlay)
                planned.append(job)
        outcomes = iter(self._plan(planned))
        return [
            _DENIED if _denied(ruling, seen) else _way(ruling.decision, next(outcomes)) for _, seen, ruling in ruled
        ]

    def _note(self, job_id: str, before: _Way, after: _Way) -> None:
        self.going += before.goes
        self.stopped += before.goes and not after.goes
        self._decisions.setdefault((before.decision, after.decision), Tally()).note(job_id)
        for way, used, spent in zip((before, after), self._used, self._spent, strict=True):
            spent.add(way)
            if way.deployment is not None:
                used[way.deployment] += 1
        moved = before.deployment != after.deployment and Decision.DENY not in (before.decision, after.decision)
        if moved:
            self._moves.setdefault((before.deployment, after.deployment), Tally()).note(job_id)
        self.changed += moved or before.decision is not after.decision

    def _note_rules(self, job_id: str, ruling: Ruling) -> None:
        for reason in ruling.reasons:
            if reason.set_id == self._draft:
                self._rules.setdefault(reason.rule, Tally()).note(job_id)
                self._errors[reason.rule] += reason.error is not None

    def report(self) -> dict[str, Any]:
        """What was found so far, as it is published."""
        before, after = self._used
        return {
            "jobs": self.jobs,
            "stopped_by_guards": self._kept_by_guards,
            "changed": self.changed,
            "stopped": self.stopped,
            "stopped_percent": round(self.stopped_percent, 3),
            "newest_at": self.newest,
            "oldest_at": self.oldest,
            "decisions": [_pair(pair, tally) for pair, tally in sorted(self._decisions.items())],
            "deployments": [
                {"deployment": name, "before": before[name], "after": after[name]} for name in sorted({*before, *after})
            ],
            "moves": [_pair(pair, tally) for pair, tally in sorted(self._moves.items(), key=lambda m: -m[1].jobs)],
            "cost": {
                name: {"usd": format(spent.usd, "f"), "unknown": spent.unknown}
                for name, spent in zip(("before", "after"), self._spent, strict=True)
            },
            "rules": [
                {"rule": rule, "errors": self._errors[rule], **tally.to_json()}
                for rule, tally in sorted(self._rules.items())
            ],
        }


def _together(one: Ruling, other: Ruling) -> Ruling:
    """What the rules of both decide. Demands add up, and the severest decision wins."""
    decision = max(one.decision, other.decision, key=_SEVERITY.index)
    return Ruling(decision, one.reasons + other.reasons, one.overlay.merged(other.overlay))


def _pair(pair: tuple[str | None, str | None], tally: Tally) -> dict[str, Any]:
    return {"before": pair[0], "after": pair[1], **tally.to_json()}


def _way(decision: Decision, outcome: RoutingPlan | Failure) -> _Way:
    if isinstance(outcome, Failure):
        return _Way(decision, None, Decimal(0))
    first = outcome.steps[0]
    return _Way(decision, first.deployment, first.estimated_cost)


def _denied(ruling: Ruling, seen: Verdict) -> bool:
    """Whether it is denied by a rule, or by demands: nothing is left, or a guard that has to look could not."""
    if ruling.decision is Decision.DENY:
        return True
    overlay = ruling.overlay
    if overlay is NO_DEMANDS:
        return False
    if overlay.impossible() is not None:
        return True
    broken = {found.guard for found in seen.findings if "error" in found.signals or found.signals.get("broken")}
    return not overlay.guards.isdisjoint(broken)
