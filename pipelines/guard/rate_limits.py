"""The rate-limit guard: who is over a limit waits until there is room, or is told when there will be."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipelines.limits.limiter import Limiter, limited
from pipelines.limits.protocol import Answer, Ask, Status
from synthralos.config.config import Config
from synthralos.domain.findings import Decision, Finding
from synthralos.domain.jobs import Job
from synthralos.domain.limits import Rate, Unit

UNASKED_SECONDS = 5.0
"""For so long a job waits that may not go on uncounted, before the limits are asked again."""

_LEAST_SECONDS = 0.001


class _Asked(NamedTuple):
    place: int
    rates: Sequence[Rate]
    ask: Ask


class RateLimitGuard:
    """Asked last, and only about jobs that nobody else refused or put off: whoever is admitted is charged."""

    name = "rate_limits"

    def __init__(self, config: Config, limiter: Limiter, now: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._config = config
        self._limiter = limiter
        self._now = now

    def inspect(self, jobs: Sequence[Job]) -> list[Finding | None]:
        """One entry per job; see `Guard.inspect`."""
        findings: list[Finding | None] = [None] * len(jobs)
        asked: list[_Asked] = []
        for place, job in enumerate(jobs):
            if limited(self._config, job.tenant):
                found = self._ask(place, job)
                if isinstance(found, Finding):
                    findings[place] = found
                else:
                    asked.append(found)
        if asked:
            answers = self._limiter.admit([each.ask for each in asked])
            for number, each in enumerate(asked):
                findings[each.place] = self._uncounted() if answers is None else self._found(each, answers[number])
        return findings

    def _ask(self, place: int, job: Job) -> _Asked | Finding:
        limits = self._config.limits_for(job.tenant.organization, job.tenant.account_plan)
        prompt, rates, charges = self._limiter.charges(job, limits)
        for rate in rates:
            if rate.unit is Unit.TOKENS and prompt > rate.limit:
                return _never(rate, prompt, job.request.prompt_field)
        wanted = job.constraints
        most = limits.max_wait_seconds if wanted.max_wait is None else min(wanted.max_wait, limits.max_wait_seconds)
        return _Asked(place, rates, Ask(job.id, 0.0 if wanted.on_limit == "reject" else most, charges))

    def _found(self, asked: _Asked, answer: Answer) -> Finding | None:
        if answer.status is Status.ADMITTED:
            return None
        rate = asked.rates[answer.charge]
        # Rounded up: who comes at the second that was named must not come too early.
        until = self._now() + timedelta(seconds=answer.seconds, milliseconds=1)
        signals = {**rate.to_json(), "until": until.isoformat(timespec="milliseconds")}
        reached = f"the limit of {rate} is reached"
        at = signals["until"].replace("+00:00", "Z")
        if answer.status is Status.WAITS:
            seconds = max(answer.seconds, _LEAST_SECONDS)
            return Finding(
                self.name, Decision.DEFER, f"{reached}: the job goes on at {at}", defer_seconds=seconds, signals=signals
            )
        reason = f"{reached}: send the job again at {at}, or let it wait (constraints.on_limit, max_wait_seconds)"
        return Finding(self.name, Decision.DENY, reason, signals=signals)

    def _uncounted(self) -> Finding:
        signals = {"uncounted": True}
        if self._limiter.fails_open:
            reason = "the rate limits cannot be asked now, so the job goes on uncounted: tell the operator"
            return Finding(self.name, Decision.FLAG, reason, signals=signals)
        reason = "the rate limits cannot be asked now, so the job waits: tell the operator if this lasts"
        return Finding(self.name, Decision.DEFER, reason, defer_seconds=UNASKED_SECONDS, signals=signals)


def _never(rate: Rate, prompt: float, field: str) -> Finding:
    reason = f"{field} has about {prompt:,.0f} tokens, more than the limit of {rate} ever allows: shorten the {field}"
    signals = {**rate.to_json(), "tokens": int(prompt)}
    return Finding(RateLimitGuard.name, Decision.DENY, reason, "messages", signals=signals)
