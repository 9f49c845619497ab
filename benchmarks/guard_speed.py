"""What the guard stage costs: milliseconds of CPU a prompt, in a batch, alone, and for a megabyte."""

import random
import statistics
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from benchmarks.report import figure, say
from benchmarks.workload import job
from pipelines.guard.stage import GuardStage
from pipelines.guard.table import Tools, build_guard_stage
from pipelines.limits.limiter import Limiter
from pipelines.limits.memory import MemoryMeter
from pipelines.repeats.likeness import NgramLikeness
from pipelines.repeats.memory import PromptMemory
from pipelines.repeats.protocol import PromptSource
from pipelines.tokens import TokenCounter
from synthralos.config.abuse_patterns import built_in_patterns
from synthralos.config.catalog import load_catalog
from synthralos.config.config import Config, GuardActions
from synthralos.config.credentials import Credentials
from synthralos.domain.jobs import UNCONSTRAINED, Claim, Job, Request, Tenant
from synthralos.domain.limits import DEFAULT_LIMITS, Per, Rate, Unit, Window
from synthralos.domain.prompts import Answered, EarlierPrompt, Wanted
from synthralos.domain.states import Lane, Stage
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages

BATCH, CHARACTERS, MEGABYTE = 64, 2_000, 1_000_000
ROUNDS, ROUNDS_SMOKE = 15, 2


class _Store:
    """The requests of all jobs, as a store would have them; what others stored is nothing."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._requests = {job.id: job.request for job in jobs}

    def recent(self, organization: str, workspace: str, seconds: float, most: int) -> list[EarlierPrompt]:
        return []

    def newer(self, organizations: Collection[str], since: float) -> list[EarlierPrompt]:
        return []

    def requests(self, job_ids: Collection[str]) -> Mapping[str, Request]:
        return {job_id: self._requests[job_id] for job_id in job_ids}

    def answered(self, wanted: Sequence[Wanted], seconds: float) -> Mapping[Wanted, Answered]:
        return {}


def main(smoke: bool) -> None:
    """All guards on, none of which finds much: ordinary prompts, each a new one."""
    rounds = ROUNDS_SMOKE if smoke else ROUNDS
    jobs = [_job(number, CHARACTERS) for number in range(BATCH * (rounds + 5))]
    large = [_job(-1 - number, MEGABYTE) for number in range(rounds + 1)]
    batches = [jobs[begin : begin + BATCH] for begin in range(0, len(jobs), BATCH)]
    stage = _stage(_Store([*jobs, *large]))
    for loading in (batches[0], large[:1]):  # what is loaded once is loaded: for long prompts, the encoding of tokens
        stage.inspect(loading)
    alone = [each for batch in batches[rounds + 1 :] for each in batch]
    figures = {
        "batch_ms_per_prompt": _milliseconds(stage, batches[1 : rounds + 1]) / BATCH,
        "single_ms": _milliseconds(stage, [[each] for each in alone[: 4 * rounds]]),
        "megabyte_ms": _milliseconds(stage, [[each] for each in large[1:]]),
    }
    say(f"the median of {rounds} rounds; prompts of {CHARACTERS:,} characters, {BATCH} a batch, and of {MEGABYTE:,}")
    for name, value in figures.items():
        figure(name, value, "ms")


def _milliseconds(stage: GuardStage, batches: Sequence[list[Job]]) -> float:
    taken = []
    for batch in batches:
        began = time.process_time()
        stage.inspect(batch)
        taken.append(time.process_time() - began)
    return 1_000 * statistics.median(taken)


def _stage(store: PromptSource) -> GuardStage:
    catalog = load_catalog(None)
    rate = Rate(Per.ORGANIZATION, Unit.TOKENS, Window.MINUTE, 10**12)
    limits = {plan: each.changed({"rates": [rate.to_json()]}) for plan, each in DEFAULT_LIMITS.items()}
    config = Config(
        catalog,
        Credentials({}, catalog, "on"),
        limits=limits,
        guards=GuardActions("flag", "flag", "flag", "flag"),
        patterns=built_in_patterns(),
    )
    limiter = Limiter(MemoryMeter(), fails_open=True, outages=Outages(), metrics=Metrics())
    memory = PromptMemory(store, NgramLikeness(), Outages(), seconds=3_600, most=5_000)
    return build_guard_stage(config, Tools(TokenCounter(), limiter, memory))


def _job(number: int, characters: int) -> Job:
    rng = random.Random(number)
    sentences = [str(job(rng.randrange(1_000))["prompt"]) for _ in range(20)]
    text = ""
    while len(text) < characters:
        text += rng.choice(sentences) + "\n"
    request = Request("auto", {"messages": [{"role": "user", "content": text[:characters]}]})
    tenant, claim = Tenant("bench", account_plan="enterprise"), Claim("w", 1)
    return Job(f"j{number}", tenant, Stage.GUARD, Lane.BULK, "t", request, UNCONSTRAINED, claim, datetime.now(UTC))
