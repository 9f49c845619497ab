"""Rate limits as the stages use them: which buckets a job takes from, how much, and what is set right afterwards."""

from collections.abc import Iterator, Sequence
from urllib.parse import quote

from pipelines.limits.outputs import Outputs
from pipelines.limits.protocol import Answer, Ask, Charge, Meter, MeterAwayError, Settled
from pipelines.tokens import prompt_size
from synthralos.config.config import Config
from synthralos.domain.attempts import AttemptEnd, Billed
from synthralos.domain.flags import Flag
from synthralos.domain.jobs import Job, Tenant
from synthralos.domain.limits import Per, PlanLimits, Rate, Unit
from synthralos.telemetry.families import RATE_LIMITED
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages

RATE_LIMITS = "rate limits"
"""What the log calls it."""


class Limiter:
    """One for a process: it outlives a configuration. Thread-safe."""

    def __init__(self, meter: Meter, *, fails_open: bool, outages: Outages, metrics: Metrics) -> None:
        """`fails_open`: whether jobs go on uncounted while the meter cannot be asked."""
        self.fails_open = fails_open
        self._meter = meter
        self.outputs = Outputs()
        """How long answers were, whether or not a rate is limited."""
        self._outages = outages
        self._decided = metrics.counters(RATE_LIMITED)

    def admit(self, asks: Sequence[Ask]) -> list[Answer] | None:
        """See `Meter.admit`; None where the meter cannot be asked."""
        try:
            answers = self._meter.admit(asks)
        except MeterAwayError as error:
            how = "jobs go on uncounted" if self.fails_open else "jobs wait"
            remedy = f"start Redis, or correct REDIS_URL; {how} meanwhile (RATE_LIMIT_FAILURE)"
            self._outages.failed(RATE_LIMITS, str(error), remedy)
            self._decided[("uncounted",)].inc(len(asks))
            return None
        self._outages.works(RATE_LIMITS)
        for answer in answers:
            self._decided[(answer.status.name.lower(),)].inc()
        return answers

    def charges(self, job: Job, limits: PlanLimits) -> tuple[float, list[Rate], list[Charge]]:
        """The prompt's tokens, estimated; the rates that are meant for the job; what it takes by each."""
        rates = [rate for rate in limits.rates if rate.per is not Per.USER or job.tenant.user is not None]
        prompt = reserved = expected = 0.0
        if any(rate.unit is Unit.TOKENS for rate in rates):
            prompt = prompt_size(job.request).estimate
            guess = self.outputs.guess(job.tenant.organization, job.request.model, job.request.max_output_tokens)
            reserved, expected = (prompt + each for each in guess)
        return prompt, rates, [_charge(rate, job.tenant, reserved, expected) for rate in rates]

    def used(self, config: Config, job: Job, end: AttemptEnd) -> None:
        """An attempt ended: what it used takes the place of what was reserved."""
        if end.usage is not None and not job.request.embeds:
            self.outputs.learn(job.tenant.organization, job.request.model, end.usage.output)
        if not limited(config, job.tenant):
            return
        if end.usage is not None:
            self._meter.settle([Settled(job.id, end.usage.input + end.usage.output)])
        else:
            self._meter.settle([Settled(job.id, 0 if end.billed is Billed.NO else None)])

    def unused(self, config: Config, job: Job) -> None:
        """The job is over without a call: what was reserved for it is given back."""
        if limited(config, job.tenant):
            self._meter.settle([Settled(job.id, 0)])

    def close(self) -> None:
        """Settle what is still to be settled."""
        self._meter.close()


def limited(config: Config, tenant: Tenant) -> bool:
    """Whether any rate is limited for this tenant."""
    rates = config.limits_for(tenant.organization, tenant.account_plan).rates
    return bool(rates) and config.flags.on(Flag.ENABLE_RATE_LIMITING, tenant.organization)


def _charge(rate: Rate, tenant: Tenant, reserved: float, expected: float) -> Charge:
    counted = rate.unit is Unit.TOKENS
    key = ":".join([*_whose(rate.per, tenant), rate.unit, rate.window])
    weight, ahead = (reserved, expected) if counted else (1.0, 1.0)
    return Charge(key, weight, ahead, rate.limit, rate.window.seconds, counted)


def _whose(per: Per, tenant: Tenant) -> Iterator[str]:
    """A user is the same one in all workspaces of the organization."""
    yield per
    yield quote(tenant.organization, safe="")
    if per is Per.WORKSPACE:
        yield quote(tenant.workspace, safe="")
    elif per is Per.USER:
        yield quote(tenant.user or "", safe="")
