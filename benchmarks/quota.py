"""Quotas of a provider: how much of them two workers use together, and how often they are refused all the same.

One model is limited to requests a minute, another to tokens a minute, whose answers have 1 to 4,000 tokens and are not
bounded by the request. More jobs than the quotas let through are there from the beginning; nothing is declared in the
catalog, so all that is known was learned from headers.
"""

import json
import time
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.client import submit_arrays
from benchmarks.limited_provider import BEGIN, LONGEST, RPM, TPM
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.provider import deployment_of, provider_process
from benchmarks.report import BenchmarkError, figure, say
from benchmarks.system import Shape, System, running
from benchmarks.workload import job

SECONDS, SECONDS_SMOKE = 90.0, 5.0
LEAD, LEAD_SMOKE = 20.0, 2.0
"""Seconds before what is measured begins: until what was saved up in the buckets is used."""

FIRST = 10
"""Jobs of each model that are done before all others: nothing is known of a quota before the first answer."""

_MORE = 1.6
"""So many times the jobs that the quotas let through in the time, what was saved up before included."""

Counts = dict[str, dict[str, Any]]


def main(smoke: bool) -> None:
    """A backlog for both models, worked on for some time."""
    seconds, lead = (SECONDS_SMOKE, LEAD_SMOKE) if smoke else (SECONDS, LEAD)
    with (
        _provider() as (base_url, catalog),
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape()) as system,
    ):
        _submit(system, FIRST, FIRST)
        system.until_finished(60)
        whole = _MORE * (BEGIN + (lead + seconds) / 60)
        _submit(system, int(whole * RPM), int(whole * TPM / (LONGEST / 2)))
        time.sleep(lead)
        before, began = _counts(base_url), time.monotonic()
        time.sleep(seconds)
        after, took = _counts(base_url), time.monotonic() - began
        well = "('queued', 'active', 'parked', 'succeeded')"
        failed = system.number(f"SELECT count(*) FROM all_jobs WHERE state NOT IN {well}")
        parked = system.number("SELECT count(*) FROM all_jobs WHERE state = 'parked'")
    _tell(before, after, took, failed, parked)


def _tell(before: Counts, after: Counts, took: float, failed: float, parked: float) -> None:
    if not parked:
        raise BenchmarkError("the jobs were used up before the end: nothing waited for a quota any more")
    for name, counts in after.items():
        say(f"{name}: {counts}, {before[name]['requests_left']:.2f} and {before[name]['tokens_left']:.2f} left before")
    answered = sum(counts["admitted"] + counts["refused"] for counts in after.values())
    refused = sum(counts["refused"] for counts in after.values())
    say(f"{answered} calls, {refused} of them refused; {parked:.0f} jobs still parked")
    figure("quota_used_share", (after["rpm"]["admitted"] - before["rpm"]["admitted"]) / (RPM * took / 60), "")
    figure("tpm_used_share", (after["tpm"]["used"] - before["tpm"]["used"]) / (TPM * took / 60), "")
    figure("share_429", refused / answered, "")
    figure("failed", failed, "jobs")


def _submit(system: System, requests: int, tokens: int) -> None:
    jobs = [_job(n, "rpm") for n in range(requests)] + [_job(n, "tpm") for n in range(tokens)]
    bodies = [json.dumps(jobs[first : first + 1000]).encode() for first in range(0, len(jobs), 1000)]
    uvloop.run(submit_arrays(system.url, system.key, bodies))


def _job(number: int, model: str) -> dict[str, Any]:
    wanted = {**job(number), "model": f"bench/{model}"}
    del wanted["max_output_tokens"]
    return wanted


def _counts(base_url: str) -> Counts:
    with urllib.request.urlopen(f"{base_url}/counts", timeout=10) as answer:
        counts: Counts = json.load(answer)
        return counts


def _provider() -> AbstractContextManager[tuple[str, Path]]:
    """The provider's address, and a catalog of its two models."""
    deployments = "".join(deployment_of(model, (1, 1)) for model in ("rpm", "tpm"))
    return provider_process("benchmarks.limited_provider", deployments)
