"""What the guard stage costs: milliseconds of CPU a prompt, in a batch, alone, and for a megabyte."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.report import figure, say
from benchmarks.workload import job
from pipelines.guard.stage import GuardStage
from pipelines.guard.table import build_guard_stage
from pipelines.limits.limiter import Limiter
from pipelines.limits.memory import MemoryMeter
from pipelines.tokens import TokenCounter
from synthralos.config.catalog import load_catalog
from synthralos.config.config import Config
from synthralos.config.credentials import Credentials
from synthralos.domain.jobs import UNCONSTRAINED, Claim, Job, Request, Tenant
from synthralos.domain.limits import DEFAULT_LIMITS, Per, Rate, Unit, Window
from synthralos.domain.states import Lane, Stage
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages

BATCH, CHARACTERS, MEGABYTE = 64, 2_000, 1_000_000
ROUNDS, ROUNDS_SMOKE = 15, 2


def main(smoke: bool) -> None:
    """All guards on, none of which finds much: ordinary prompts."""
    rounds, stage = ROUNDS_SMOKE if smoke else ROUNDS, _stage()
    batch = [_job(number, CHARACTERS) for number in range(BATCH)]
    stage.inspect(batch)  # what is loaded once is loaded
    figures = {
        "batch_ms_per_prompt": _milliseconds(stage, [batch] * rounds) / BATCH,
        "single_ms": _milliseconds(stage, [[each] for each in batch[: 4 * rounds]]),
        "megabyte_ms": _milliseconds(stage, [[_job(number, MEGABYTE)] for number in range(rounds)]),
    }
    say(f"the median of {rounds} rounds; prompts of {CHARACTERS:,} characters, {BATCH} a batch, and of {MEGABYTE:,}")
    for name, value in figures.items():
        figure(name, value, "ms")


def _milliseconds(stage: GuardStage, batches: Sequence[list[Job]]) -> float:
    taken = []
    for number, batch in enumerate(batches):
        fresh = [replace(each, id=f"{each.id}-{number}") for each in batch]
        began = time.process_time()
        stage.inspect(fresh)
        taken.append(time.process_time() - began)
    return 1_000 * statistics.median(taken)


def _stage() -> GuardStage:
    catalog = load_catalog(None)
    rate = Rate(Per.ORGANIZATION, Unit.TOKENS, Window.MINUTE, 10**12)
    limits = {plan: each.changed({"rates": [rate.to_json()]}) for plan, each in DEFAULT_LIMITS.items()}
    config = Config(
        catalog,
        Credentials({}, catalog, "on"),
        limits=limits,
        abuse_guard="flag",
        secrets_guard="flag",
        personal_data_guard="flag",
    )
    limiter = Limiter(MemoryMeter(), fails_open=True, outages=Outages(), metrics=Metrics())
    return build_guard_stage(config, TokenCounter(), limiter)


def _job(number: int, characters: int) -> Job:
    rng = random.Random(number)
    sentences = [str(job(rng.randrange(1_000))["prompt"]) for _ in range(20)]
    text = ""
    while len(text) < characters:
        text += rng.choice(sentences) + "\n"
    request = Request("auto", {"messages": [{"role": "user", "content": text[:characters]}]})
    tenant, claim = Tenant("bench", account_plan="enterprise"), Claim("w", 1)
    return Job(f"j{number}", tenant, Stage.GUARD, Lane.BULK, "t", request, UNCONSTRAINED, claim, datetime.now(UTC))
