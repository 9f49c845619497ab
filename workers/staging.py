"""What a worker's stages are built with: what they remember, and the way from them to the event loop."""

import random
from collections.abc import Callable

from pipelines.embedders.build import build_encoder
from pipelines.embedders.endpoint import EmbeddingsEndpoint
from pipelines.embedders.likeness import EndpointLikeness
from pipelines.embedders.local import EncoderLikeness
from pipelines.encoders.build import Encoders
from pipelines.flow.rule_counts import RuleCounts
from pipelines.flow.stages import BuildStages, stage_builder
from pipelines.guard.second_look.build import build_second_look
from pipelines.guard.table import Remote
from pipelines.limits.limiter import Limiter
from pipelines.repeats.likeness import NgramLikeness
from pipelines.repeats.memory import PromptMemory
from pipelines.repeats.protocol import Likeness, Neighbors
from pipelines.repeats.stored import stored_neighbors
from synthralos.config.settings import SettingsError
from synthralos.core import Core
from synthralos.store.read.prompt_vectors import PromptVectors
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
    encoders = Encoders()
    memory = PromptMemory(
        Prompts(core.database),
        _likeness(core, servers.embeddings, thread, encoders),
        core.outages,
        seconds=core.settings.similarity_window,
        most=core.settings.similarity_prompts,
        clock=clock,
        stored=_stored(core),
    )
    second_look = build_second_look(core.settings, encoders)
    remote = None if servers.validator is None else Remote(servers.validator, thread.result)
    return stage_builder(random.Random(), limiter, memory, core.metrics, remote, counts, second_look)


def _likeness(core: Core, endpoint: EmbeddingsEndpoint | None, thread: EventLoopThread, encoders: Encoders) -> Likeness:
    built_in, settings = NgramLikeness(), core.settings
    if endpoint is not None:
        return EndpointLikeness(built_in, endpoint, settings.similarity_residency, thread.result, core.metrics)
    encoder = build_encoder(settings, encoders)
    if encoder is not None:
        return EncoderLikeness(built_in, encoder, settings.similarity_timeout, core.metrics)
    return built_in


def _stored(core: Core) -> Callable[[tuple[str, str]], Neighbors] | None:
    if core.settings.similarity_search == "memory":
        return None
    vectors = PromptVectors(core.database)
    if not vectors.available():
        raise SettingsError(
            "SIMILARITY_SEARCH: pgvector needs its extension in the database of DATABASE_URL: have it created there "
            "(CREATE EXTENSION vector), run `synthralos migrate`, or set memory"
        )
    return stored_neighbors(vectors, core.settings.similarity_window)
