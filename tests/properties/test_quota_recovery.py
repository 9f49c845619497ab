"""A provider that refuses for a while and is well again: how soon it has its calls back, where it tells no limit.

Time is simulated, and so is the provider: whoever asks for the quota calls at once with all that was granted.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.flow.pacer import Pacer
from pipelines.flow.quotas import PATIENCE
from synthralos.domain.quota_learning import FORGOTTEN_AFTER, LONGEST_HOLD
from synthralos.domain.quota_units import Unit
from synthralos.domain.quotas import LONGEST_BACKOFF, Ask, Quota, granted, limit_of, refused, standing

START, STEP = 1_000_000.0, 0.1
DEMAND = 100.0
"""Calls a second that would be made."""

RECOVERED_WITHIN = 40.0
"""Seconds after the end of the last closure, and of a hold that grew, until all are: as docs/quotas.md says."""


@dataclass
class Client:
    """Calls as much as it is granted, of `DEMAND`; `wish`: what a refusal asks for in seconds."""

    wish: float | None
    quota: Quota = field(default_factory=lambda: Quota("KEY/model"))
    now: float = START
    owed: float = 0.0
    made: int = 0
    refused: int = 0

    def run(self, seconds: float, refuses: Callable[[float], bool]) -> float:
        """The share of the calls in demand that succeeded."""
        well, until = 0, self.now + seconds
        while self.now < until:
            self.now += STEP
            self.owed = min(self.owed + self._got(), 2 * STEP * DEMAND)
            while self.owed >= 1:
                self.owed -= 1
                self.made += 1
                if refuses(self.now):
                    self.refused += 1
                    self.owed = 0.0
                    self.quota = refused(self.quota, self.wish, "full", (), self.now)
                else:
                    well += 1
        return well / (seconds * DEMAND)

    def _got(self) -> float:
        wanted = STEP * DEMAND
        if self.now < self.quota.closed_until:
            return 0.0
        self.quota, grant = granted(self.quota, {Unit.REQUESTS: Ask(wanted, 1.0)}, {}, "a", self.now)
        return grant.amounts.get(Unit.REQUESTS, wanted)


@dataclass
class Allowance:
    """A token bucket that a provider keeps and tells nothing of; it holds what is refilled in `saves` seconds."""

    per_minute: float
    saves: float = 1.0
    left: float = 0.0
    at: float = START

    def refuses(self, now: float) -> bool:
        rate = self.per_minute / 60.0
        self.left, self.at = min(max(1.0, rate * self.saves), self.left + rate * (now - self.at)), now
        if self.left < 1:
            return True
        self.left -= 1
        return False


@settings(max_examples=30, deadline=None)
@given(
    st.none() | st.sampled_from([0.5, 1.0, 5.0, 20.0]),
    st.floats(0.3, 1.0),
    st.floats(1.0, 120.0),
    st.integers(0, 2**32),
)
def test_after_a_storm_all_calls_come_back_within_40_s_of_the_last_closure_and_hold(
    wish: float | None, share: float, seconds: float, seed: int
) -> None:
    rng = random.Random(seed)
    client = Client(wish)
    client.run(seconds, lambda _: rng.random() < share)
    closed = max(0.0, client.quota.closed_until - client.now)
    assert closed <= (LONGEST_BACKOFF if wish is None else wish)
    client.run(closed + _grown_hold(client) + RECOVERED_WITHIN, lambda _: False)
    assert client.run(10.0, lambda _: False) >= 0.95


def _grown_hold(client: Client) -> float:
    """Seconds; 0 where no rate stood for its whole hold."""
    learned = client.quota.learned
    return learned.hold if learned is not None and learned.stood else 0.0


@given(st.none() | st.just(1.0), st.floats(0.3, 1.0), st.floats(1.0, 60.0), st.integers(0, 2**32))
def test_calls_that_went_elsewhere_come_back_too(wish: float | None, share: float, seconds: float, seed: int) -> None:
    """Whoever may go elsewhere uses nothing while he would have to wait: see `Quotas.lets`."""
    rng = random.Random(seed)
    client = Client(wish)
    client.run(seconds, lambda _: rng.random() < share)
    now = max(client.now, client.quota.closed_until) + RECOVERED_WITHIN / 2 + _grown_hold(client)
    pacer = Pacer("KEY/model", now, standing(client.quota, {}, now))
    assert pacer.eta({Unit.REQUESTS: 1.0}, 0, now) <= PATIENCE


@pytest.mark.parametrize("wish", [None, 1.0])
def test_a_limit_that_was_learned_long_ago_is_tried_again_each_minute(wish: float | None) -> None:
    allowed = Allowance(600)
    client = Client(wish)
    client.run(1_200, allowed.refuses)
    closed = max(0.0, client.quota.closed_until - client.now)
    client.run(closed + LONGEST_HOLD + RECOVERED_WITHIN, lambda _: False)
    assert client.run(10.0, lambda _: False) >= 0.95


@pytest.mark.parametrize("wish", [None, 1.0])
@pytest.mark.parametrize("per_minute", [120, 600, 3_000])
def test_a_limit_that_nobody_tells_is_found_and_used_with_few_refusals(per_minute: float, wish: float | None) -> None:
    allowed = Allowance(per_minute)
    client = Client(wish)
    client.run(600, allowed.refuses)
    before = client.made, client.refused
    used = client.run(600, allowed.refuses) * DEMAND * 60 / per_minute
    assert used >= 0.7
    # The rarer calls are, the more of them a refusal a minute is.
    assert client.refused - before[1] <= max(0.01, 2 / per_minute) * (client.made - before[0])


@pytest.mark.parametrize("per_minute", [3, 10])
def test_of_a_very_low_limit_that_nobody_tells_most_is_used(per_minute: float) -> None:
    allowed = Allowance(per_minute)
    client = Client(None)
    client.run(300, allowed.refuses)
    assert client.run(600, allowed.refuses) * DEMAND * 60 >= 0.5 * per_minute
    assert client.refused <= 0.75 * client.made


@given(st.floats(0, 1_000), st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), max_size=12))
def test_what_was_learned_is_never_below_one_and_is_forgotten(later: float, refusals: list[tuple[float, int]]) -> None:
    quota, now = refused(Quota("KEY/model"), None, "full", (), START), START
    for pause, calls in refusals:
        now = max(now, quota.closed_until) + pause
        for _ in range(calls):
            quota, _ = granted(quota, {Unit.REQUESTS: Ask(1.0, 1.0)}, {}, "a", now)
        quota = refused(quota, None, "full", (), now)
    found = limit_of(quota, Unit.REQUESTS, {}, quota.closed_until + later)
    assert found is None or found[0] >= 1.0
    assert limit_of(quota, Unit.REQUESTS, {}, quota.closed_until + FORGOTTEN_AFTER + 1) is None
