"""Whom breakers and quotas hold up, said from their stored state as a worker would from its own."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random

import pytest

from pipelines.flow.breakers import Breakers, Shut
from pipelines.flow.held_up import Gate, Gatehouse
from synthralos.domain.breakers import Breaker, BreakerState, credential_breaker
from synthralos.domain.deployments import Catalog
from synthralos.domain.quota_report import QuotaReport
from tests.fakes.stage_jobs import a_deployment

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
ONE = a_deployment("fake/one@us")
KEYS = ("A", "B")
NAMES = [ONE.id, *(credential_breaker(key, where) for key, where in product(KEYS, ("", ONE.id)))]


def shut(name: str, seconds: float = 60, state: BreakerState = BreakerState.OPEN) -> Breaker:
    return Breaker(name, state, NOW, NOW + timedelta(seconds=seconds), reason=f"{name} broke")


def closed_for(name: str, seconds: float) -> QuotaReport:
    return QuotaReport(name, *name.split("/", 1), [], NOW + timedelta(seconds=seconds), "full", 1)


def gatehouse(*breakers: Breaker, quotas: Mapping[str, QuotaReport] | None = None) -> Gatehouse:
    return Gatehouse({each.name: each for each in breakers}, quotas or {})


@pytest.mark.parametrize("seed", range(60))
def test_it_agrees_with_a_workers_breakers(seed: int) -> None:
    rng = Random(seed)
    broken = rng.sample(NAMES, rng.randint(0, len(NAMES)))
    keys = rng.choice([(), KEYS[:1], KEYS])
    worker = Breakers(lambda: Catalog([ONE]), lambda _: None, 60.0, names=lambda _: keys)
    worker.update({name: Shut(BreakerState.OPEN, 10.0**9, "broke") for name in broken})
    found = gatehouse(*map(shut, broken)).held_up(ONE, keys)
    assert (found is not None) is worker.shuts_off(ONE)


def test_it_is_held_up_until_the_first_key_may_be_probed_and_its_own_breaker_as_well() -> None:
    keys = [shut(credential_breaker("A"), 90), shut(credential_breaker("B"), 30)]
    found = gatehouse(*keys).held_up(ONE, KEYS)
    assert found is not None
    assert found.until == NOW + timedelta(seconds=30)
    both = gatehouse(*keys, shut(ONE.id, 50)).held_up(ONE, KEYS)
    assert both is not None
    assert both.until == NOW + timedelta(seconds=50)


def test_half_open_it_may_be_probed_already() -> None:
    found = gatehouse(shut(ONE.id, state=BreakerState.HALF_OPEN)).held_up(ONE, ())
    assert found is not None
    assert (found.gate, found.until) == (Gate.BREAKER, None)


def test_a_quota_holds_it_up_where_that_of_every_key_is_closed() -> None:
    named = replace(ONE, upstream_model="model")
    one, other = closed_for("A/model", 90), closed_for("B/model", 30)
    assert gatehouse(quotas={one.name: one}).held_up(named, KEYS) is None
    found = gatehouse(quotas={one.name: one, other.name: other}).held_up(named, KEYS)
    assert found is not None
    assert (found.gate, found.until, sorted(found.names)) == (
        Gate.QUOTA, NOW + timedelta(seconds=30), ["A/model", "B/model"]
    )  # fmt: skip
