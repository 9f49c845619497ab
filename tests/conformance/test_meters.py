"""What every meter promises: nobody gets more than the limit, whoever waits is told when, nothing is charged twice."""

from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.limits.memory import MemoryMeter
from pipelines.limits.protocol import LEASE_SECONDS, PLACE_SECONDS, SETTLED_SECONDS, Ask, Charge, Meter, Settled, Status
from pipelines.limits.shared import RedisMeter

ADMITTED, WAITS, REFUSED = Status
PATIENT = 1e6


class Clock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A meter, its clock, and jobs with one charge or more."""

    def __init__(self, meter: Meter, clock: Clock) -> None:
        self.meter = meter
        self.clock = clock

    def ask(self, job: str, *charges: Charge, patience: float = PATIENT) -> tuple[Status, float]:
        [answer] = self.meter.admit([Ask(job, patience, charges)])
        return answer.status, pytest.approx(answer.seconds, abs=1e-3)

    def settle(self, job: str, tokens: int | None) -> None:
        # The meter in Redis settles in a thread of its own, whose work is done at once here.
        settle = getattr(self.meter, "settle_now", self.meter.settle)
        settle([Settled(job, tokens)])


@pytest.fixture(params=["memory", "redis"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    clock = Clock()
    if request.param == "memory":
        yield Scene(MemoryMeter(clock), clock)
        return
    prefix = request.getfixturevalue("redis_prefix")
    meter = RedisMeter(request.getfixturevalue("redis_server_url"), f"{prefix}:", clock)
    yield Scene(meter, clock)
    meter.close()


def requests(limit: int, window: float = 60.0, key: str = "r") -> Charge:
    return Charge(key, 1.0, 1.0, limit, window, False)


def tokens(weight: float, limit: int, expected: float | None = None, key: str = "t") -> Charge:
    return Charge(key, weight, weight if expected is None else expected, limit, 60.0, True)


def test_a_full_bucket_is_given_at_once_and_then_refills_evenly(scene: Scene) -> None:
    assert [scene.ask(f"j{n}", requests(6)) for n in range(6)] == [(ADMITTED, 0)] * 6
    assert scene.ask("j6", requests(6)) == (WAITS, 10)
    scene.clock.now += 10
    assert scene.ask("j6", requests(6)) == (ADMITTED, 0)


def test_who_waits_is_told_a_time_of_his_own(scene: Scene) -> None:
    asks = [Ask(f"j{n}", PATIENT, [requests(6)]) for n in range(9)]
    answers = scene.meter.admit(asks)
    assert [round(answer.seconds) for answer in answers] == [0] * 6 + [10, 20, 30]


def test_who_comes_later_does_not_overtake(scene: Scene) -> None:
    for n in range(6):
        scene.ask(f"j{n}", requests(6))
    assert scene.ask("waits", requests(6)) == (WAITS, 10)
    scene.clock.now += 10
    assert scene.ask("late", requests(6)) == (WAITS, 10)
    assert scene.ask("waits", requests(6)) == (ADMITTED, 0)


def test_who_comes_back_too_early_waits_again(scene: Scene) -> None:
    for n in range(6):
        scene.ask(f"j{n}", requests(6))
    scene.ask("a", requests(6))
    scene.clock.now += 4
    assert scene.ask("a", requests(6)) == (WAITS, 6)
    scene.clock.now += 6
    assert scene.ask("a", requests(6)) == (ADMITTED, 0)


def test_a_job_is_charged_once_however_often_it_asks(scene: Scene) -> None:
    assert [scene.ask("same", requests(2)) for _ in range(5)] == [(ADMITTED, 0)] * 5
    assert scene.ask("other", requests(2)) == (ADMITTED, 0)
    assert scene.ask("third", requests(2)) == (WAITS, 30)


def test_a_job_is_charged_by_all_of_its_buckets_or_by_none(scene: Scene) -> None:
    assert scene.ask("a", requests(10), tokens(100, 100)) == (ADMITTED, 0)
    assert scene.ask("b", requests(10), tokens(60, 100)) == (WAITS, 36)
    [answer] = scene.meter.admit([Ask("c", 0.0, [requests(10), tokens(60, 100)])])
    assert (answer.status, answer.charge) == (REFUSED, 1)
    # Nine requests are left, of which those that were put off and refused took none.
    assert [scene.ask(f"r{n}", requests(10)) for n in range(8)] == [(ADMITTED, 0)] * 8


def test_who_would_have_to_wait_too_long_is_refused_and_holds_no_place(scene: Scene) -> None:
    scene.ask("a", requests(1))
    assert scene.ask("hasty", requests(1), patience=0) == (REFUSED, 60)
    assert scene.ask("b", requests(1), patience=60) == (WAITS, 60)
    assert scene.ask("c", requests(1), patience=60) == (REFUSED, 120)
    # Patience counts from the first answer.
    scene.clock.now += 59
    assert scene.ask("b", requests(1), patience=59) == (REFUSED, 1)


def test_tokens_that_were_not_used_come_back(scene: Scene) -> None:
    assert scene.ask("a", tokens(100, 100)) == (ADMITTED, 0)
    scene.settle("a", 40)
    assert scene.ask("b", tokens(60, 100)) == (ADMITTED, 0)
    assert scene.ask("c", tokens(1, 100))[0] is WAITS


def test_tokens_that_were_used_beyond_the_reservation_are_owed(scene: Scene) -> None:
    assert scene.ask("a", tokens(10, 100)) == (ADMITTED, 0)
    scene.settle("a", 150)
    # 150 of 100 are used: 50 have to come back before 1 is free, at 100 a minute.
    assert scene.ask("b", tokens(1, 100)) == (WAITS, 30.6)


def test_every_attempt_is_charged_and_a_reservation_is_set_right_once(scene: Scene) -> None:
    scene.ask("a", tokens(50, 100))
    scene.settle("a", 20)
    scene.settle("a", 30)
    assert scene.ask("b", tokens(50, 100)) == (ADMITTED, 0)
    assert scene.ask("c", tokens(1, 100))[0] is WAITS


def test_where_nobody_knows_what_was_used_the_reservation_counts(scene: Scene) -> None:
    scene.ask("a", tokens(50, 100))
    scene.settle("a", None)
    scene.settle("a", 10)
    assert scene.ask("b", tokens(40, 100)) == (ADMITTED, 0)
    assert scene.ask("c", tokens(1, 100))[0] is WAITS


def test_requests_are_not_given_back(scene: Scene) -> None:
    scene.ask("a", requests(1))
    scene.settle("a", 0)
    assert scene.ask("b", requests(1)) == (WAITS, 60)


def test_nobody_is_settled_who_is_not_known(scene: Scene) -> None:
    scene.settle("nobody", 5)
    scene.ask("a", tokens(100, 100))
    scene.ask("waits", tokens(100, 100))
    scene.settle("waits", 5)
    assert scene.ask("b", tokens(1, 100))[0] is WAITS


def test_a_reservation_of_which_nothing_is_heard_lapses(scene: Scene) -> None:
    day = Charge("d", 100.0, 100.0, 100, 86_400.0, True)
    scene.ask("crashed", day)
    assert scene.ask("b", day, patience=0)[0] is REFUSED
    scene.clock.now += LEASE_SECONDS + 1
    assert scene.ask("b", day, patience=0) == (ADMITTED, 0)
    # It is heard of after all: then it is charged with all that it used.
    scene.settle("crashed", 100)
    scene.settle("b", 0)
    assert scene.ask("c", day, patience=0)[0] is REFUSED


def test_a_limit_that_is_changed_keeps_what_was_used(scene: Scene) -> None:
    for n in range(6):
        scene.ask(f"j{n}", requests(10))
    assert scene.ask("a", requests(7)) == (ADMITTED, 0)
    assert scene.ask("b", requests(7), patience=0)[0] is REFUSED
    assert [scene.ask(f"k{n}", requests(20), patience=0)[0] for n in range(14)] == [ADMITTED] * 13 + [REFUSED]


def test_more_than_a_bucket_holds_is_given_to_a_full_one_and_owed(scene: Scene) -> None:
    assert scene.ask("a", tokens(500, 100)) == (ADMITTED, 0)
    assert scene.ask("b", tokens(500, 100)) == (WAITS, 60)
    scene.settle("a", 500)
    assert scene.ask("c", tokens(1, 100), patience=1)[0] is REFUSED


def test_a_place_is_kept_for_who_comes_late_and_not_for_ever(scene: Scene) -> None:
    scene.ask("a", requests(1))
    assert scene.ask("b", requests(1)) == (WAITS, 60)
    scene.clock.now += 60 + PLACE_SECONDS / 2
    assert scene.ask("b", requests(1)) == (ADMITTED, 0)


def test_tenants_do_not_share(scene: Scene) -> None:
    assert scene.ask("a", requests(1, key="organization:a b%2F")) == (ADMITTED, 0)
    assert scene.ask("b", requests(1, key="organization:b")) == (ADMITTED, 0)


@pytest.mark.parametrize("seed", range(3))
def test_under_a_crowd_the_limit_holds_and_is_used(scene: Scene, seed: int) -> None:
    """Thousands of jobs come at once, tell nothing of how long their answers will be, and come back when told."""
    rng = Random(seed)
    limit, minutes = 60_000, 10
    # Answers take two seconds and have up to 1,000 tokens; the sender reckons with too few, and reserves most of it.
    waiting = [(scene.clock.now, f"j{n}") for n in range(2_000)]
    calls: list[tuple[float, str, int]] = []
    used, begin = 0, scene.clock.now
    while scene.clock.now < begin + 60 * minutes:
        due = sorted(job for job in waiting if job[0] <= scene.clock.now)
        waiting = [job for job in waiting if job[0] > scene.clock.now]
        asks = [Ask(job, PATIENT, [tokens(950, limit, expected=400), requests(1_000)]) for _, job in due]
        for (_, job), answer in zip(due, scene.meter.admit(asks) if asks else [], strict=True):
            if answer.status is ADMITTED:
                calls.append((scene.clock.now + 2, job, rng.randint(1, 1_000)))
            else:
                waiting.append((scene.clock.now + answer.seconds, job))
        for end, job, size in [call for call in calls if call[0] <= scene.clock.now]:
            calls.remove((end, job, size))
            scene.settle(job, size)
            used += size
        nexts = [at for at, *_ in [*waiting, *calls]]
        if not nexts:
            break
        scene.clock.now = max(scene.clock.now + 0.01, min(nexts))
    # A full bucket, and what came back since.
    allowed = limit + limit * (scene.clock.now - begin) / 60
    assert 0.95 * allowed <= used <= 1.01 * allowed


asking = st.tuples(
    st.just("ask"), st.integers(0, 8), st.integers(0, 120), st.integers(0, 120), st.sampled_from([0, 30, PATIENT])
)
settling = st.tuples(st.just("settle"), st.integers(0, 8), st.one_of(st.none(), st.integers(0, 300)))
# Redis forgets by its own clock, so a script may not last until a job is forgotten.
passing = st.tuples(st.just("pass"), st.floats(0.1, SETTLED_SECONDS / 50))
limiting = st.tuples(st.just("limit"), st.integers(50, 200))
steps = st.lists(st.one_of(asking, settling, passing, limiting), max_size=40)


@settings(
    max_examples=60, deadline=None, database=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(script=steps)
def test_redis_and_memory_say_the_same(redis_server_url: str, redis_prefix: str, script: list[Any]) -> None:
    clock = Clock()
    shared = RedisMeter(redis_server_url, f"{redis_prefix}:{uuid4()}:", clock)
    both = [Scene(MemoryMeter(clock), clock), Scene(shared, clock)]
    limit = 100
    for step in script:
        match step:
            case ("ask", job, weight, expected, patience):
                charges = [tokens(weight, limit, min(expected, weight)), requests(5)]
                memory, redis = (scene.meter.admit([Ask(f"j{job}", patience, charges)])[0] for scene in both)
                assert memory.status is redis.status
                assert memory.seconds == pytest.approx(redis.seconds, abs=0.01)
            case ("settle", job, used):
                for scene in both:
                    scene.settle(f"j{job}", used)
            case ("pass", seconds):
                clock.now += seconds
            case ("limit", changed):
                limit = changed
    shared.close()
