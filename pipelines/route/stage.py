"""The route stage: from a job to its plan, or to the failure that says why there is none.

What decides a plan repeats from job to job: the same models, plans and constraints, prompts of about the same
length. So the stage sifts the catalog once per demand, prices the survivors once per (rounded) prompt length, and
hands the same immutable plan to all jobs that are alike. What is remembered is bounded, the least used goes first.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from pipelines.route.affinity import LEAST_TOKENS, Begun, Warm, prefix_of
from pipelines.route.choice import Choice, Explanation, Sifted
from pipelines.route.filters import SIZED_RULES, STANDING_RULES, Demand, assumed_output, demand_of, hurried, room
from pipelines.route.observed import NOTHING, ExpectedOutput, Observed
from pipelines.route.ordering import led_by, plan_of, preferred
from pipelines.route.prices import UNKNOWN, Prices
from pipelines.route.protocol import CacheUse, Candidates, Columns, Strategy
from pipelines.route.refusing import nothing_left, unknown_strategy
from pipelines.route.service_tiers import at_tiers, wanted_tier
from pipelines.route.sieve import Loss, Sieve, bits, grouped, numbers_in
from pipelines.route.sizes import prompt_tokens, rounded_up
from pipelines.route.strategies import CATALOG_ORDER, strategies
from pipelines.spending import billed_at_most
from pipelines.tokens import TokenCounter
from synthralos.config.config import Config
from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.exclusions import Cause
from synthralos.domain.failures import Failure, FailureClass
from synthralos.domain.flags import Flag, Flags
from synthralos.domain.jobs import Job, Request
from synthralos.domain.money import Costs, ServiceTier
from synthralos.domain.overlays import NO_DEMANDS
from synthralos.domain.plans import Exclusions, RoutingPlan, Step, usd
from synthralos.telemetry.context import about

_log = logging.getLogger(__name__)

WhyNotOffered = Callable[[Deployment], str | None]
"""None when a deployment can be used at all in this process, otherwise the reason."""

PINNED = "pinned"
DEMANDS_KEPT = 512
CHOICES_KEPT = 1024


def utc_now() -> datetime:
    """By this process's clock, which is good enough to tell the days of prices apart."""
    return datetime.now(UTC)


class RouteStage:
    """Makes plans. What is offered hangs on the configuration alone, and a stage is made for one."""

    def __init__(
        self,
        catalog: Catalog,
        strategies: Mapping[str, Strategy],
        why_not_offered: WhyNotOffered,
        *,
        flags: Flags | None = None,
        counter: TokenCounter | None = None,
        now: Callable[[], datetime] = utc_now,
        observed: Callable[[], Observed] = lambda: NOTHING,
        expected: ExpectedOutput = lambda organization, model: None,
        warm: Warm = lambda organization, prefix: (),
    ) -> None:
        """`now` says which prices count, and how long a job can wait; for `expected` and `warm` see their types."""
        self._catalog = catalog
        self._deployments = deployments = tuple(catalog)
        self._everything = (1 << len(deployments)) - 1
        ranks = {id_: rank for rank, id_ in enumerate(sorted(deployment.id for deployment in deployments))}
        self._ranks = [ranks[deployment.id] for deployment in deployments]
        self._strategies = dict(strategies)
        self._flags = flags or Flags()
        self._counter = counter or TokenCounter()
        self._now, self._observed, self._expected, self._warm = now, observed, expected, warm
        self._standing, self._sized = Sieve(deployments, STANDING_RULES), Sieve(deployments, SIZED_RULES)
        self._not_offered = grouped(map(why_not_offered, deployments))
        self._windows = grouped(deployment.context_window for deployment in deployments)
        self._meant = lru_cache(DEMANDS_KEPT)(self._named)
        self._numbers = lru_cache(CHOICES_KEPT)(numbers_in)
        self._columns = lru_cache(CHOICES_KEPT)(self._columns_of)
        self._ids = lru_cache(CHOICES_KEPT)(self._ids_of)
        self._sifted = lru_cache(DEMANDS_KEPT)(self._sift)
        self._choice = lru_cache(CHOICES_KEPT)(self._choose)
        self._prices = lru_cache(8)(self._prices_on)

    def plan(self, jobs: Sequence[Job]) -> list[RoutingPlan | Failure]:
        """One plan or failure per job, in the order of `jobs`.

        A plan names every deployment of the catalog once, as a step or as an exclusion. Jobs that are alike
        share one plan object.
        """
        now = self._now()
        return [self._plan_or_bug(job, now) for job in jobs]

    def costs(self, job: Job, *, worst: bool = True) -> Costs:
        """What an attempt costs: as estimated where it is cheapest, at most where it is dearest. Demands no policy.

        Without `worst`, tokens need not be counted, and what it costs at most stays unknown.
        """
        now = self._now()
        demand = self._demanded(job, now)._replace(overlay=NO_DEMANDS)
        billed = rounded_up(billed_at_most(job.request, self._counter)) if worst else self._tokens_billed(job)
        prices = self._prices(_day(now), demand.service_tier)
        choice = self._choice(demand, prices, self._tokens_in(job, self._sifted(demand)), billed)
        estimated = _usd(min(choice.candidates.costs, default=UNKNOWN))
        return Costs(estimated, _usd(max(choice.worst, default=UNKNOWN)) if worst else None)

    def explain(self, job: Job) -> Explanation:
        """The plan or failure of one job, with what was excluded in either case and what was counted with."""
        [outcome] = self.plan([job])
        now = self._now()
        demand = self._demanded(job, now)
        tokens_in = self._tokens_in(job, self._sifted(demand))
        if isinstance(outcome, RoutingPlan):
            exclusions = outcome.exclusions
        else:
            prices = self._prices(_day(now), demand.service_tier)
            choice = self._choice(demand, prices, tokens_in, self._tokens_billed(job))
            exclusions = self._exclusions(choice.losses)
        return Explanation(outcome, tuple(exclusions), tokens_in, assumed_output(demand))

    def _plan_or_bug(self, job: Job, now: datetime) -> RoutingPlan | Failure:
        try:
            return self._plan(job, now)
        except Exception as error:  # noqa: BLE001 - the edge to pluggable strategies: a bug must not lose the batch
            _log.exception("routing of job %s failed", job.id, extra=about(job))
            return Failure(FailureClass.INTERNAL, f"routing failed with {type(error).__name__}: tell the operator")

    def _plan(self, job: Job, now: datetime) -> RoutingPlan | Failure:
        constraints = job.constraints
        strategy = self._strategies.get(PINNED if constraints.pin else constraints.strategy)
        if strategy is None:
            return unknown_strategy(constraints.strategy, self._strategies)
        if not self._flags.on(Flag.ENABLE_ARCHGW_ROUTING, job.tenant.organization):
            strategy = CATALOG_ORDER
        demand = self._demanded(job, now)
        prices = self._prices(_day(now), demand.service_tier)
        tokens_in = self._tokens_in(job, self._sifted(demand))
        choice = self._choice(demand, prices, tokens_in, self._tokens_billed(job))
        if not len(choice.candidates):
            return nothing_left(choice.losses, self._ids)
        use = strategy.cache_use
        begun = None if use is CacheUse.NOTHING else self._begun(job, demand, choice, tokens_in)
        first = choice.contest.first(*begun) if begun and use is CacheUse.LEADS else None
        kind = (strategy.name, constraints.fallback, first)
        plan = choice.plans.get(kind)
        if plan is None:
            steps = self._ranked(strategy, job, choice, begun)
            steps = led_by(preferred(steps, demand.overlay), first)
            if demand.service_tier is not ServiceTier.STANDARD:
                steps = self._at_tiers(steps, prices, tokens_in, assumed_output(demand))
            plan = plan_of(strategy.name, steps, self._exclusions(choice.losses), constraints.fallback)
            if strategy.repeatable:
                choice.keep(kind, plan)
        return plan

    def _begun(self, job: Job, demand: Demand, choice: Choice, tokens_in: int) -> Begun | None:
        """Whose prompt begins how, and where that is cached, where prompt caches are not for policies to overrule."""
        if tokens_in < LEAST_TOKENS or demand.overlay.prefer or choice.contest.idle:
            return None
        prefix, organization = prefix_of(job.request), job.tenant.organization
        return None if prefix is None else (organization, prefix, self._warm(organization, prefix))

    @staticmethod
    def _ranked(strategy: Strategy, job: Job, choice: Choice, begun: Begun | None) -> Sequence[Step]:
        use = strategy.cache_use
        if begun is None or use is CacheUse.LEADS:
            return strategy.rank(job, choice.candidates)
        favored, drawn = choice.contest.favored(*begun), use is CacheUse.PRICES_AND_RANKS
        return favored.told(strategy.rank(job, favored.candidates), drawn=drawn)

    def _demanded(self, job: Job, now: datetime) -> Demand:
        demand, tier = demand_of(job), wanted_tier(job, now)
        if tier is not ServiceTier.STANDARD:
            demand = demand._replace(service_tier=tier)
        if demand.max_output is None and (known := self._expected(job.tenant.organization, demand.model)) is not None:
            demand = demand._replace(expected_output=known)
        if job.request.embeds:
            demand = demand._replace(longest_input=self._longest_input(job, demand))
        return demand if job.deadline is None else hurried(demand, job.deadline - now, self._observed())

    def _longest_input(self, job: Job, demand: Demand) -> int:
        request = job.request
        longest = Request(request.model, {**request.body, "input": max(request.inputs, key=len)})
        return prompt_tokens(longest, self._sifted(demand).rooms, self._counter)

    def _tokens_in(self, job: Job, sifted: Sifted) -> int:
        return prompt_tokens(job.request, sifted.rooms, self._counter)

    def _tokens_billed(self, job: Job) -> int:
        """What may be billed for the prompt at most, where the job's money is bounded."""
        return 0 if job.max_cost is None else rounded_up(billed_at_most(job.request, self._counter))

    def _named(self, model: str) -> int:
        meant = {deployment.id for deployment in self._catalog.matching(model)}
        return bits(number for number, deployment in enumerate(self._deployments) if deployment.id in meant)

    def _prices_on(self, day: str, tier: ServiceTier) -> Prices:
        return Prices(self._deployments, day, tier)

    def _at_tiers(self, steps: Sequence[Step], prices: Prices, tokens_in: int, tokens_out: int) -> Sequence[Step]:
        """The steps at the service tiers that are counted with, each flex one before its standard one."""
        prompt, answer, _ = self._prices(prices.day, ServiceTier.STANDARD).estimated(tokens_in)
        tiers = {deployment.id: prices.tier(number) for number, deployment in enumerate(self._deployments)}
        standard = {
            deployment.id: _usd(tokens_in * prompt[number] + min(tokens_out, deployment.max_output) * answer[number])
            for number, deployment in enumerate(self._deployments)
            if prices.tier(number) is ServiceTier.FLEX
        }
        return at_tiers(steps, tiers, standard)

    def _ids_of(self, which: int) -> tuple[str, ...]:
        return tuple(self._deployments[number].id for number in self._numbers(which))

    def _columns_of(self, which: int) -> Columns:
        """The deployments, ranked by their ids in alphabetical order."""
        numbers = self._numbers(which)
        return Columns.of(
            [self._deployments[number] for number in numbers], [self._ranks[number] for number in numbers]
        )

    def _exclusions(self, losses: Sequence[Loss]) -> Exclusions:
        return Exclusions([(loss.cause, self._ids(loss.which)) for loss in losses])

    def _sift(self, demand: Demand) -> Sifted:
        meant = self._meant(demand.model)
        alive, losses = self._standing.sift(demand, meant)
        if meant != self._everything:
            other = Cause("model", {"model": demand.model})
            losses.insert(0, Loss(other, self._everything ^ meant, FailureClass.INVALID_REQUEST, unrelated=True))
        for why, which in self._not_offered.items():
            if why is not None and (hit := alive & which):
                alive ^= hit
                losses.append(Loss(Cause("not_offered", {"why": why}), hit, FailureClass.CREDENTIAL))
        windows = [window for window, which in self._windows.items() if alive & which]
        return Sifted(alive, tuple(losses), tuple(sorted(room(demand, window) for window in windows)))

    def _choose(self, demand: Demand, prices: Prices, tokens_in: int, tokens_billed: int) -> Choice:
        sifted = self._sifted(demand)
        sized = demand._replace(tokens_in=tokens_in, tokens_billed=tokens_billed, day=prices.day)
        alive, losses = self._sized.sift(sized, sifted.survivors)
        numbers = self._numbers(alive)
        costs = prices.costs(numbers, tokens_in, assumed_output(sized), asked=sized.max_output is not None)
        found = Candidates(self._columns(alive), costs)
        worst = prices.worst_costs(numbers, tokens_billed, sized.max_output) if tokens_billed else []
        saved = prices.estimated(tokens_in).saved
        return Choice(found, (*sifted.losses, *losses), worst, saved, numbers)


def _day(now: datetime) -> str:
    return now.date().isoformat()


def _usd(pico: int) -> Decimal | None:
    return None if pico >= UNKNOWN else usd(pico)


def build_route_stage(
    config: Config,
    counter: TokenCounter | None = None,
    observed: Callable[[], Observed] = lambda: NOTHING,
    expected: ExpectedOutput = lambda organization, model: None,
    warm: Warm = lambda organization, prefix: (),
) -> RouteStage:
    """The stage of a configuration. `observed`, `expected` and `warm` say what this process saw; see their types."""
    offered, table = config.credentials.why_not_offered, strategies(config.quality, observed)
    return RouteStage(
        config.catalog,
        table,
        offered,
        flags=config.flags,
        counter=counter,
        observed=observed,
        expected=expected,
        warm=warm,
    )
