"""When a breaker turns away, when it sends a probe, and what closes it."""

from pipelines.validation.breaker import FAILURES, LONGEST_PAUSE, PAUSE, Breaker


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        assert breaker.admits()
        breaker.failed()
    return breaker, clock


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(Clock())
    for _ in range(5):
        for _ in range(FAILURES - 1):
            breaker.failed()
        assert breaker.admits()
        breaker.worked()
    breaker, _ = opened()
    assert not breaker.admits()


def test_one_probe_goes_through_when_the_pause_is_over() -> None:
    breaker, clock = opened()
    clock.seconds = PAUSE - 0.01
    assert not breaker.admits()
    clock.seconds = PAUSE
    assert [breaker.admits() for _ in range(3)] == [True, False, False]


def test_a_probe_that_works_closes_it() -> None:
    breaker, clock = opened()
    clock.seconds = PAUSE
    assert breaker.admits()
    breaker.worked()
    assert all(breaker.admits() for _ in range(10))
    breaker.failed()
    assert breaker.admits()


def test_pauses_double_up_to_a_limit() -> None:
    breaker, clock = opened()
    pauses, last = [], 0.0
    for _ in range(3000):
        clock.seconds += 0.125
        if breaker.admits():
            pauses.append(clock.seconds - last)
            last = clock.seconds
            breaker.failed()
    doubled = [PAUSE, 2 * PAUSE, 4 * PAUSE, 8 * PAUSE]
    assert pauses[: len(doubled)] == doubled
    assert max(pauses) == LONGEST_PAUSE
    assert pauses[-1] == LONGEST_PAUSE


def test_a_probe_that_nobody_heard_of_again_is_followed_by_another() -> None:
    breaker, clock = opened()
    clock.seconds = PAUSE
    assert breaker.admits()
    clock.seconds = PAUSE + 2 * PAUSE
    assert breaker.admits()


def test_stragglers_that_fail_do_not_put_the_probe_off() -> None:
    breaker, clock = opened()
    clock.seconds = PAUSE - 0.5
    breaker.failed()
    clock.seconds = PAUSE
    assert breaker.admits()
