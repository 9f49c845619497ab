"""What a worker's stages are built with: what they remember, and the way from them to the event loop."""

import random
from collections.abc import Callable

from pipelines.embedders.endpoint import EmbeddingsEndpoint
from pipelines.embedders.likeness import EndpointLikeness
from pipelines.flow.rule_counts import RuleCounts
from pipelines.flow.stages import BuildStages, stage_builder
from pipelines.guard.table import Remote
from pipelines.limits.limiter import Limiter
from pipelines.repeats.likeness import NgramLikeness
from pipelines.repeats.memory import PromptMemory
from pipelines.repeats.protocol import Likeness
from synthralos.core import Core
from synthralos.store.read.prompts import Prompts
from workers.event_loop import EventLoopThread
from workers.servers import Servers


def worker_stages(
    core: Core,
    limiter: Limiter,
    servers: Servers,
    thread: EventLoopThread,
    clock: Callable[[], float],
    counts: RuleCounts,
) -> BuildStages:
    """What builds a worker's stages. `clock`: the database's, in seconds; `servers` live on the loop of `thread`."""
    memory = PromptMemory(
        Prompts(core.database),
        _likeness(core, servers.embeddings, thread),
        core.outages,
        seconds=core.settings.similarity_window,
        most=core.settings.similarity_prompts,
        clock=clock,
    )
    remote = None if servers.validator is None else Remote(servers.validator, thread.result)
    return stage_builder(random.Random(), limiter, memory, core.metrics, remote, counts)


def _likeness(core: Core, endpoint: EmbeddingsEndpoint | None, thread: EventLoopThread) -> Likeness:
    built_in = NgramLikeness()
    if endpoint is None:
        return built_in
    return EndpointLikeness(built_in, endpoint, core.settings.similarity_residency, thread.result, core.metrics)
