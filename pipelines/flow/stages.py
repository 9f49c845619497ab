"""The stages of a configuration: built in one place, and built anew for the next one. No stage knows of this."""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.flow.grounds import CallGrounds
from pipelines.flow.rule_counts import RuleCounts
from pipelines.flow.ruling import Rulings
from pipelines.guard.second_look.protocol import SecondLook
from pipelines.guard.stage import GuardStage
from pipelines.guard.table import Remote, Tools, build_guard_stage
from pipelines.heal.budget import RetryBudget
from pipelines.heal.stackstorm import AskStackStorm
from pipelines.heal.stage import HealStage, build_heal_stage
from pipelines.limits.limiter import Limiter
from pipelines.repeats.memory import PromptMemory
from pipelines.route.affinity import WarmPrefixes
from pipelines.route.observed import Latencies
from pipelines.route.stage import RouteStage, build_route_stage
from pipelines.tokens import TokenCounter
from synthralos.config.config import Config
from synthralos.live_config import LiveConfig
from synthralos.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Stages:
    """What works on jobs under one configuration."""

    config: Config
    guard: GuardStage
    rulings: Rulings
    route: RouteStage
    heal: HealStage
    limiter: Limiter
    memory: PromptMemory | None
    retries: RetryBudget
    grounds: CallGrounds
    latencies: Latencies
    prefixes: WarmPrefixes
    first_tokens: Latencies


StagesNow = Callable[[], Stages]
"""The stages of the configuration that is in force: asked once a batch, and once an attempt."""

BuildStages = Callable[[Config], Stages]


def stage_builder(
    rng: random.Random,
    limiter: Limiter,
    memory: PromptMemory | None = None,
    metrics: Metrics | None = None,
    remote: Remote | None = None,
    counts: RuleCounts | None = None,
    second_look: SecondLook | None = None,
) -> BuildStages:
    """What builds stages; what does not depend on the configuration is shared by all of them. Jitter from `rng`."""
    counter, retries, latencies, prefixes = TokenCounter(), RetryBudget(), Latencies(), WarmPrefixes()
    firsts = Latencies()
    tools = Tools(counter, limiter, memory, metrics or Metrics(), remote=remote, second_look=second_look)

    def build(config: Config) -> Stages:
        route = build_route_stage(config, counter, latencies.now, limiter.outputs.told, prefixes.warm)
        guard = build_guard_stage(config, tools)
        rulings = Rulings(config, route.costs, guard.names, counts)
        ask = AskStackStorm(config.stackstorm, config.flags)
        heal = build_heal_stage(rng, config.catalog, retries, config.credentials.names_for, ask)
        grounds = CallGrounds(config)
        return Stages(
            config, guard, rulings, route, heal, limiter, memory, retries, grounds, latencies, prefixes, firsts
        )

    return build


class LiveStages:
    """The stages of what `live` says now, built when they are first asked for. Thread-safe."""

    def __init__(self, live: LiveConfig, build: BuildStages) -> None:
        self._live = live
        self._build = build
        self._building = threading.Lock()
        self._stages = build(live.current)

    def __call__(self) -> Stages:
        """See `StagesNow`."""
        stages = self._stages
        if stages.config is self._live.current:
            return stages
        with self._building:
            config = self._live.current
            if self._stages.config is not config:
                self._stages = self._build(config)
            return self._stages
