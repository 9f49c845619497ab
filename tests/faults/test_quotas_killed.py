"""A provider's quota holds while workers are killed: what they took stays taken, and nobody waits for the dead."""

from collections.abc import Callable
from pathlib import Path

import pytest

from synthralos.domain.attempts import Outcome
from synthralos.domain.quota_units import Unit
from synthralos.domain.states import State
from synthralos.store.admin.quotas import QuotaStore
from tests.faults.harness import Site

_A_SECOND = 30
_AHEAD = 2.1
"""Seconds of the quota that are saved up, granted ahead, and taken on credit."""

_JOBS, _IN_FLIGHT = 90, 10


@pytest.mark.timeout(300)
def test_what_a_killed_worker_had_taken_of_a_quota_counts_and_blocks_nobody(make_site: Callable[..., Site]) -> None:
    site = make_site(max_losses=3, worker_lost_after=3)
    catalog = Path(site.settings["catalog_file"])
    declared = f"max_in_flight = 5000\nrpm = {60 * _A_SECOND}"
    catalog.write_text(catalog.read_text().replace("max_in_flight = 5000", declared))
    quotas = QuotaStore(site.database)
    site.scheduler()
    doomed = site.worker()
    site.provider.behave(hang=True)
    began = quotas.all()[1]
    ids = site.submit(_JOBS)
    site.provider.wait_for_calls(_IN_FLIGHT)
    doomed.kill()
    [held] = [quota for quota in quotas.all()[0] if Unit.REQUESTS in quota.buckets and quota.askers]
    site.provider.reset()
    site.worker()
    site.check_promises(timeout=60)
    assert site.states() == {State.SUCCEEDED: _JOBS}
    lost = [attempt for job_id in ids for attempt in site.attempts(job_id) if attempt.outcome == Outcome.LOST]
    assert len(lost) >= _IN_FLIGHT
    calls, took = len(site.provider.bill()), quotas.all()[1] - began
    assert _JOBS <= calls <= _JOBS + len(lost), "of what was lost some may have been booked and not made"
    assert calls / _A_SECOND <= took + _AHEAD
    after = quotas.get(held.name)
    assert after is not None
    assert after.closed_until <= quotas.all()[1]
