"""Storms: the cheaper of two deployments flaps, is slow, and refuses (429), one after the other, at 100 jobs/s.

Whether jobs fail, how long they take, and what is paid for nothing: answers of the provider that brought no job its
result, as a share of those that did. What a dearer deployment costs more is the plan's doing, and is not counted.
"""

import time
from collections.abc import Sequence
from itertools import pairwise

import uvloop

from benchmarks.outage import RATE, Call, Change, Ended, through, two_models
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.report import BenchmarkError, figure, percentile, say
from benchmarks.system import Shape, running
from benchmarks.throughput import warm_up

STORMS = ("/flapping", "/slow", "/limited")

CALM, STORM = 10.0, 30.0
CALM_SMOKE, STORM_SMOKE, RATE_SMOKE = 1.0, 3.0, 30.0
WARM_UP, WARM_UP_SMOKE = 300, 60


def main(smoke: bool) -> None:
    """One storm after the other, with calm before each and after the last."""
    calm, storm, rate = (CALM_SMOKE, STORM_SMOKE, RATE_SMOKE) if smoke else (CALM, STORM, float(RATE))
    changes = [
        each
        for number, path in enumerate(STORMS)
        for each in (
            Change(calm + number * (calm + storm), path),
            Change((number + 1) * (calm + storm), "/up"),
        )
    ]
    with (
        two_models() as (base_url, catalog),
        postgresql_database() as database_url,
        rabbitmq_vhost() as broker,
        running(database_url, broker, catalog, Shape()) as system,
    ):
        warm_up(system, WARM_UP_SMOKE if smoke else WARM_UP)
        began = time.time()
        ended, calls, changed = uvloop.run(through(system, base_url, changes, changes[-1].after + calm, rate))
    _tell(ended, [call for call in calls if call.at >= began], changed)


def _tell(ended: Sequence[Ended], calls: Sequence[Call], changed: Sequence[float]) -> None:
    for path, (since, until) in zip(STORMS, list(pairwise(changed))[::2], strict=True):
        during = [call for call in calls if since < call.at <= until]
        to_first, failed = [call for call in during if call.model == "first"], [call for call in during if call.failed]
        say(f"{path[1:]}: {len(during)} calls, {len(to_first)} to the deployment in the storm, {len(failed)} refused")
    if not any(call.failed for call in calls):
        raise BenchmarkError("no call met a storm")
    succeeded = sum(each.state == "succeeded" for each in ended)
    paid = sum(not call.failed for call in calls)
    say(f"{len(ended)} jobs, {len(calls)} calls, {paid} answers that are paid for")
    figure("failed", len(ended) - succeeded, "jobs")
    figure("extra_cost_share", (paid - succeeded) / max(1, succeeded), "")
    figure("completion_p99_s", percentile([each.seconds for each in ended], 99), "s")
