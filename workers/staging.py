"""What a worker's stages are built with: what they remember, and the way from them to the event loop."""

import random
from collections.abc import Callable

from pipelines.flow.rule_counts import RuleCounts
from pipelines.flow.stages import BuildStages, stage_builder
from pipelines.guard.table import Remote
from pipelines.limits.limiter import Limiter
from pipelines.repeats.likeness import NgramLikeness
from pipelines.repeats.memory import PromptMemory
from pipelines.validation.protocol import Validator
from synthralos.core import Core
from synthralos.store.read.prompts import Prompts
from workers.event_loop import EventLoopThread


def worker_stages(
    core: Core,
    limiter: Limiter,
    validator: Validator | None,
    thread: EventLoopThread,
    clock: Callable[[], float],
    counts: RuleCounts,
) -> BuildStages:
    """What builds a worker's stages. `clock`: the database's, in seconds; `validator` lives on the loop of `thread`."""
    memory = PromptMemory(
        Prompts(core.database),
        NgramLikeness(),
        core.outages,
        seconds=core.settings.similarity_window,
        most=core.settings.similarity_prompts,
        clock=clock,
    )
    remote = None if validator is None else Remote(validator, thread.result)
    return stage_builder(random.Random(), limiter, memory, core.metrics, remote, counts)
