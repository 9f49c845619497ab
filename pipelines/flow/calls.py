"""One call of a job: which deployment it goes to, how long it may take, and what its answer means for the ledger."""

import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial

from pipelines.execute.stage import ExecuteStage, attempt_end, cut_end, result_json
from pipelines.flow.asking import asked_of, at_tier, repair_at, repair_elsewhere
from pipelines.flow.call_costs import CallCosts
from pipelines.flow.gates import Gates
from pipelines.flow.joining import MAY_BE_ITS_OWN, joins
from pipelines.flow.output_checks import check_of
from pipelines.flow.stages import Stages, StagesNow
from pipelines.flow.taps import Tap, Taps
from pipelines.flow.telling import may_be_told
from pipelines.flow.work import Ending, OpenAttempt, Work
from pipelines.heal.table import KEYS_OWN
from pipelines.providers.protocol import Call, Cancel, Done
from pipelines.route.filters import closed_to
from pipelines.route.service_tiers import FLEX_SECONDS
from synthralos.domain.attempts import AttemptEnd, Billed, Outcome, Reply
from synthralos.domain.deltas import Delta
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import Failure, FailureClass, Rejected
from synthralos.domain.findings import with_finding
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Job
from synthralos.domain.money import ServiceTier
from synthralos.domain.plans import RoutingPlan, Step
from synthralos.domain.spans import root_span_id
from synthralos.domain.states import Stage, Transition
from synthralos.domain.writes import Start

CLOCKS_APART = 0.25
"""Seconds: a call that was cut at its job's deadline may come back a moment before it, by the database's clock."""

_SHORTEST = 0.01
"""Seconds that a call has at least."""


class Calls:
    """Everything about calls that does not depend on how a job is run. Lives on the event loop."""

    def __init__(
        self,
        stages: StagesNow,
        execute: ExecuteStage,
        gates: Gates,
        now: Callable[[], datetime],
        call_timeout: float,
        clock: Callable[[], float] = time.monotonic,
        taps: Taps | None = None,
    ) -> None:
        """`call_timeout` in seconds bounds every call, besides the deployment's own and the job's deadline.

        `taps` is where deltas go; without them nothing is streamed. Not the loop's clock: asking for the running loop
        takes a system call, and every job asks several times.
        """
        self._clock = clock
        self._stages = stages
        self.costs = CallCosts(stages, gates, now)
        self._execute = execute
        self._gates = gates
        self._now = now
        self._call_timeout = call_timeout
        self._taps = taps

    def admit(self, work: Work) -> bool:
        """Move the plan's cursor to the first step that may be called now; False where all are shut off."""
        plan = work.plan
        cursor = self._gates.admit(work)
        if cursor is None:
            return False
        cursor = self._in_time(work, plan, cursor)
        if cursor != plan.cursor:
            work.job.plan = plan.at(cursor)
            found = self._gates.passed_over(plan)
            if found is not None:
                name, why = found
                work.span(name, self._now(), passed_over=why, deployment=plan.steps[cursor].deployment)
        return True

    def _in_time(self, work: Work, plan: RoutingPlan, cursor: int) -> int:
        """The standard step instead of a flex one that the job's deadline leaves no time for."""
        if plan.steps[cursor].service_tier is not ServiceTier.FLEX:
            return cursor
        deployment, standard = self.deployment(plan.steps[cursor]), plan.standard_of(cursor)
        late = deployment is not None and self.seconds_left(work) < 2 * deployment.timeout
        return standard if late and standard is not None else cursor

    def target(self, work: Work) -> tuple[Step, Deployment] | Failure:
        """The plan's current step with its deployment, or why it cannot be taken."""
        step = work.plan.current
        if step is None:
            return Failure(FailureClass.INTERNAL, "the plan is used up")
        deployment = self.deployment(step)
        if deployment is None:
            return Failure(FailureClass.INTERNAL, f"{step.deployment} is no longer in the catalog")
        # The plan may be older than what the catalog declares now.
        closed = closed_to(work.job.constraints, deployment)
        if closed is not None:
            return Failure(FailureClass.UNSUPPORTED, f"{closed.text} ({deployment.id})")
        cost = work.job.max_cost
        if cost is not None and self.costs.request(work, deployment, step.service_tier) is None:
            return Failure(FailureClass.BUDGET, f"max_cost_usd of {cost} does not allow {deployment.id}")
        return step, deployment

    def deployment(self, step: Step) -> Deployment | None:
        """The step's deployment, if the catalog (still) has it."""
        return self._stages().config.catalog.get(step.deployment)

    def start(self, work: Work, step: Step, deployment: Deployment) -> Start:
        """What is written before the call. Budgets hold what it may cost at most; it costs nobody else."""
        job = work.job
        stages = self._stages()
        charges = stages.config.budgets.of(job)
        reserved = self.costs.worst(work, deployment, step.service_tier) if charges else step.estimated_cost
        attempt_no = job.attempts + 1
        credential = self._gates.key_for(work, deployment)
        caps = stages.config.caps_of(job)
        start = Start(
            job, attempt_no, deployment, reserved, work.plan, stages.grounds.of(job), charges, credential, caps
        )
        if work.home is not None:
            start.plan, start.detour = work.home, work.plan
        return start

    def started(self, work: Work, start: Start) -> None:
        """The start is written: the claim is held, and the attempt open."""
        job = work.job
        job.claim, job.attempts, job.stage = job.claim.taken(), start.attempt_no, Stage.EXECUTE
        work.stored = start.plan, job.verdict
        stages = self._stages()
        stages.retries.called(start.deployment.id)
        step = work.plan.current
        tier = ServiceTier.STANDARD if step is None else step.service_tier
        charged = bool(start.charges)
        key = stages.config.credentials.key(start.credential)
        work.attempt = OpenAttempt(
            start.attempt_no, start.deployment, self._clock(), service_tier=tier, charged=charged, key=key
        )

    def begin(self, work: Work, done: Done, may_tell: Callable[[], bool] | None = None) -> Cancel:
        """Begin the call of the open attempt; see `Provider.begin`. `may_tell` is asked before each delta is told."""
        call = self._call(work)
        if may_tell is not None and (tell := call.on_delta) is not None:
            call.on_delta = lambda delta: tell(delta) if may_tell() else None
        return self._execute.begin(call, done)

    async def make(self, work: Work) -> Reply | Failure:
        """Make the call of the open attempt; cancelling it cuts the call."""
        return await self._execute.call(self._call(work))

    def answered(self, work: Work, answer: Reply | Failure) -> None:
        """The call has ended: what it brought and cost is known."""
        attempt = _open(work)
        if attempt.tap is not None:
            attempt.tap.close()
        seconds = self._clock() - attempt.began
        stages = self._stages()
        priced = stages.config.flags.on(Flag.TRACK_MODEL_COSTS, work.job.tenant.organization)
        now = self._now()
        tier = attempt.service_tier
        attempt.end = attempt_end(
            attempt.number, attempt.deployment, answer, seconds, priced=priced, ended=now, asked=tier
        )
        attempt.end.first_token = _first_token(attempt)
        stages.limiter.used(stages.config, work.job, attempt.end)
        # Flex is slow by agreement: its time says nothing of the deployment's health.
        waited = 0.0 if tier is ServiceTier.FLEX else seconds
        key = None if attempt.key is None else attempt.key.name
        self._gates.answered(
            work.ticket or work.job.id, attempt.deployment, answer, waited, key, self._key_of(attempt, stages)
        )
        if isinstance(answer, Failure):
            if work.flight is not None:
                work.flight.failed()
            work.alone = work.alone or answer.failure_class in MAY_BE_ITS_OWN
            if attempt.key is not None and answer.failure_class in KEYS_OWN:
                work.refused.add((attempt.deployment.id, attempt.key.name))
        if isinstance(answer, Reply):
            _learn(stages, work.job, attempt, answer, seconds)
            if answer.finding is not None:
                work.job.verdict = with_finding(work.job.verdict, answer.finding)
        ok, more = isinstance(answer, Reply), {} if work.repair is None else {"repairs": True}
        work.span("execute", now, ok=ok, deployment=attempt.deployment.id, attempt=attempt.number, **more)

    @staticmethod
    def _key_of(attempt: OpenAttempt, stages: Stages) -> str | None:
        """The key's name; None where it was renewed during the call, whose end says nothing of the new one."""
        key = attempt.key
        return None if key is None or stages.config.credentials.key(key.name) != key else key.name

    def cut(self, work: Work) -> None:
        """The call was cut while it ran."""
        self._gates.cut(work.ticket or work.job.id)
        attempt = _open(work)
        if attempt.tap is not None:
            attempt.tap.close()
        attempt.end = cut_end(attempt.number, self._clock() - attempt.began)
        attempt.end.first_token = _first_token(attempt)
        stages = self._stages()
        stages.limiter.used(stages.config, work.job, attempt.end)

    def unmade(self, work: Work) -> None:
        """The call was booked and not made after all."""
        self._gates.unused(work.ticket or work.job.id)
        attempt = _open(work)
        attempt.end = AttemptEnd(attempt.number, Outcome.CANCELLED, Billed.NO, None, Decimal(0))
        stages = self._stages()
        stages.limiter.used(stages.config, work.job, attempt.end)

    def ask_again(self, work: Work, rejected: Rejected | None, *, elsewhere: bool = True) -> None:
        """Have the next call say what was wrong with an answer, where that is wanted, fits, and can be paid.

        The call goes to the plan's current deployment, which gave the answer, or `elsewhere` where that is demanded.
        """
        step = work.plan.current
        deployment = None if step is None else self.deployment(step)
        if rejected is None or step is None or deployment is None or work.job.constraints.repair in ("none", "again"):
            return
        if elsewhere:
            work.repair = repair_elsewhere(work, deployment.id, rejected, self._stages().route)
        if work.repair is None:
            work.repair = repair_at(work, deployment, rejected)
            if work.repair is not None and self.costs.request(work, deployment, step.service_tier) is None:
                work.repair = None

    @staticmethod
    def success(work: Work, reply: Reply) -> Ending:
        """The end of a job whose call was answered."""
        if work.redaction is not None and work.job.constraints.restore:
            reply = work.redaction.restored(reply)
        result = result_json(_open(work).deployment, reply)
        if work.flight is not None:
            work.flight.result = result
        return Ending(Transition.SUCCEED, Stage.ANALYZE, result=result)

    def seconds_left(self, work: Work) -> float:
        """Seconds until the job's deadline."""
        deadline = work.job.deadline
        return float("inf") if deadline is None else (deadline - self._now()).total_seconds()

    def _call(self, work: Work) -> Call:
        job, deployment, tier = work.job, _open(work).deployment, _open(work).service_tier
        longest, left = min(self._call_timeout, deployment.timeout), self.seconds_left(work)
        if tier is ServiceTier.FLEX:  # what is left then is for a call at the standard tier
            longest, left = max(longest, FLEX_SECONDS), left - deployment.timeout
        # A deadline that passed while the attempt was booked: to HTTP clients, a timeout of 0 is none at all.
        timeout = max(_SHORTEST, min(longest, left))
        traceparent = f"00-{job.trace_id}-{root_span_id(job.id)}-01"
        request = self.costs.request(work, deployment, tier) or asked_of(work, deployment)
        # Where money is bounded, the account's default must not make it another price.
        if job.constraints.service_tier is not None or job.max_cost is not None:
            request = at_tier(request, deployment, tier)
        call = Call(job.id, job.attempts, deployment, request, timeout, traceparent, self._validated(job))
        key = _open(work).key
        call.credential = None if key is None else key.name
        if job.verdict is not None and (checks := job.verdict.overlay.output_checks) and not job.request.embeds:
            call.check = check_of(checks)
        if "kind" in job.request.body:
            call.joins = joins(work, deployment, self._stages().config.flags)
        if job.constraints.stream and self._taps is not None and may_be_told(work, call):
            tap = _open(work).tap = self._taps.open(job.id, job.attempts, deployment.id)
            call.on_delta = partial(self._tell, _open(work), tap)
        return call

    def _tell(self, attempt: OpenAttempt, tap: Tap, delta: Delta) -> None:
        """One more delta of the attempt's answer."""
        if attempt.spoke is None:
            attempt.spoke = self._clock()
        tap.tell(delta)

    def _validated(self, job: Job) -> bool:
        """Whether guardrails-ai looks at the answer."""
        if not self._execute.validates or job.request.embeds:
            return False
        return self._stages().config.flags.on(Flag.ENABLE_GUARDRAILS_AI, job.tenant.organization)


def _open(work: Work) -> OpenAttempt:
    assert work.attempt is not None
    return work.attempt


def _first_token(attempt: OpenAttempt) -> float | None:
    return None if attempt.spoke is None else attempt.spoke - attempt.began


def _learn(stages: Stages, job: Job, attempt: OpenAttempt, answer: Reply, seconds: float) -> None:
    """How long a deployment takes, to its first word too, and what it has in its prompt cache."""
    if attempt.service_tier is ServiceTier.STANDARD:
        stages.latencies.learn(attempt.deployment.id, seconds)
        if (first := _first_token(attempt)) is not None:
            stages.first_tokens.learn(attempt.deployment.id, first)
    if answer.usage is not None:
        stages.prefixes.answered(job.tenant.organization, job.request, attempt.deployment.id, answer.usage)
