"""Detectors: what they see, how soon, and what they leave alone."""

import math

import numpy as np
import pytest

from benchmarks.traffic_series import DAY_LOOKS, KINDS, LOOK, Fault, Kind, series
from synthralos.domain.detection import FALSE_ALARMS, SLOWER, FailureDetector, LevelDetector, Reading, Sums
from synthralos.domain.queue_detection import LASTING, StuckDetector, WaitDetector
from synthralos.domain.sequential import LEAST, MOST, NEAR, Cusum, Tail

HOUR = int(3_600 / LOOK)
BUSY = Kind("", 100.0)


def seconds_to_alarm(kind: Kind, fault: Fault, which: str, looks: int = 60) -> float:
    failures, latency = FailureDetector(), LevelDetector(SLOWER)
    for place, look in enumerate(series(kind, HOUR + looks, 7, fault, HOUR)):
        found = {
            "failures": failures.look(look.calls, look.failures, LOOK, FALSE_ALARMS),
            "latency": latency.look(look.latency, LOOK, FALSE_ALARMS),
        }[which]
        assert not (found.alarm and place < HOUR)
        if found.alarm:
            return (place + 1 - HOUR) * LOOK
    return math.inf


def failing(detector: FailureDetector, share: float, looks: int, calls: int = 200) -> Reading:
    for _ in range(looks):
        reading = detector.look(calls, round(calls * share), LOOK, FALSE_ALARMS)
    return reading


def test_a_brown_out_is_seen_within_ten_seconds() -> None:
    assert seconds_to_alarm(BUSY, Fault("", failing=0.2), "failures") <= 9


def test_calls_that_take_three_times_as_long_are_seen_within_twenty_seconds() -> None:
    assert seconds_to_alarm(BUSY, Fault("", slower=3.0), "latency") <= 19


@pytest.mark.parametrize(("rate", "within"), [(10.0, 20.0), (1.0, 120.0)])
def test_with_less_traffic_it_takes_as_many_calls(rate: float, within: float) -> None:
    assert seconds_to_alarm(Kind("", rate), Fault("", failing=0.2), "failures") <= within


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_six_hours_of_healthy_traffic_raise_no_alarm(kind: Kind) -> None:
    failures, latency = FailureDetector(), LevelDetector(SLOWER)
    for look in series(kind, DAY_LOOKS // 8, 11):
        assert not failures.look(look.calls, look.failures, LOOK, FALSE_ALARMS).alarm
        assert not latency.look(look.latency, LOOK, FALSE_ALARMS).alarm


def test_a_hiccup_of_a_look_or_two_is_no_alarm() -> None:
    detector = FailureDetector()
    failing(detector, 0.01, 200)
    assert not failing(detector, 1.0, 2).alarm
    assert failing(detector, 1.0, 1).alarm


def test_evidence_says_what_was_measured_over_what() -> None:
    detector = FailureDetector()
    failing(detector, 0.01, 200)
    reading = failing(detector, 0.25, 4)
    assert reading.alarm
    assert reading.measured == pytest.approx(0.25)
    assert reading.baseline == pytest.approx(0.01, rel=0.2)
    assert (reading.calls, reading.seconds) == (800, 4 * LOOK)
    assert reading.baseline < reading.limit < reading.measured
    assert reading.score >= reading.threshold


def test_what_led_to_an_alarm_is_not_learned_and_what_passed_is() -> None:
    detector = FailureDetector()
    failing(detector, 0.01, 200)
    before = detector.learned.failures / detector.learned.calls
    failing(detector, 0.5, 5)
    detector.restart()
    assert detector.learned.failures / detector.learned.calls == before
    failing(detector, 0.02, 500)
    assert detector.learned.failures / detector.learned.calls > 1.3 * before


def test_rare_failures_of_a_quiet_deployment_become_usual() -> None:
    detector = FailureDetector()
    random = np.random.default_rng(5)
    alarms = [detector.look(1, int(random.random() < 0.08), 20.0, FALSE_ALARMS).alarm for _ in range(4_000)]
    assert not any(alarms)
    assert detector.learned.failures / detector.learned.calls == pytest.approx(0.08, rel=0.4)


def test_what_is_accepted_is_usual_from_then_on() -> None:
    detector = FailureDetector()
    failing(detector, 0.01, 200)
    reading = failing(detector, 0.25, 4)
    detector.restart()
    detector.accept(reading)
    assert not failing(detector, 0.25, 500).alarm
    latency = LevelDetector(SLOWER)
    _latency(latency, 1.0, 100)
    slow = _latency(latency, 4.0, 4)
    assert slow.alarm
    assert slow.measured == pytest.approx(4.0, rel=0.05)
    latency.accept(slow)
    assert not _latency(latency, 4.0, 200).alarm


def test_longer_answers_may_take_longer() -> None:
    detector = LevelDetector(SLOWER)
    random = np.random.default_rng(3)
    alarms = []
    for look in range(2_000):
        x = random.normal(4.0 + (2.5 if look >= 1_000 else 0.0), 0.8, 20)
        y = 0.9 * x - 3 + random.normal(0, 0.3, 20)
        sums = Sums(20, x.sum(), y.sum(), (x * x).sum(), (x * y).sum(), (y * y).sum())
        alarms.append(detector.look(sums, LOOK, FALSE_ALARMS).alarm)
    assert not any(alarms)


def test_what_was_learned_survives_being_stored() -> None:
    failures, latency = FailureDetector(), LevelDetector(SLOWER)
    failing(failures, 0.04, 300)
    _latency(latency, 2.0, 300)
    again, slow = FailureDetector.restore(failures.stored()), LevelDetector.restore(latency.stored(), SLOWER)
    assert again.look(200, 8, LOOK, FALSE_ALARMS).baseline == failures.look(200, 8, LOOK, FALSE_ALARMS).baseline
    assert slow.learned == latency.learned
    assert FailureDetector.restore({"learned": {"calls": 5, "of another release": 1}}).learned.calls == 5


def test_a_test_that_often_comes_near_an_alarm_gets_a_higher_threshold() -> None:
    calm, shaky = Tail(), Tail()
    for tail, peak, times in ((calm, NEAR + 0.5, 2), (shaky, NEAR + 8.0, 200)):
        tail.passed(86_400.0)
        for _ in range(times):
            tail.add(peak)
    assert LEAST <= calm.threshold(0.02) < shaky.threshold(0.02) <= MOST
    assert calm.threshold(0.02) <= calm.threshold(0.002)


def test_one_look_alone_never_makes_an_alarm() -> None:
    cusum, tail = Cusum(), Tail()
    assert not cusum.add(1e9, LOOK, 20.0, tail)
    assert not cusum.add(1e9, LOOK, 20.0, tail)
    assert cusum.add(1e9, LOOK, 20.0, tail)


def test_a_queue_has_to_be_late_for_a_while() -> None:
    detector = WaitDetector(10.0)
    for _ in range(100):
        assert not detector.look(0.5, 3, 5.0).alarm
    assert not detector.look(40.0, 3, 5.0).alarm
    assert not detector.look(0.5, 3, 5.0).alarm
    readings = [detector.look(40.0, 3, 5.0) for _ in range(2)]
    assert [reading.alarm for reading in readings] == [False, True]
    assert readings[-1].limit < readings[-1].measured == 40.0
    detector.accept(readings[-1])
    assert not any(detector.look(40.0, 3, 5.0).alarm for _ in range(10))
    assert detector.look(100.0, 3, LASTING).alarm
    again = WaitDetector.restore(detector.stored(), 10.0)
    assert again.learned == detector.learned


def test_waits_that_come_and_go_are_usual_and_one_that_only_rises_is_not() -> None:
    detector = WaitDetector(3_600.0)
    for _ in range(3):
        for wait in (0.0, 1_000.0, 3_000.0, 1_000.0, 0.0):
            assert not detector.look(wait, 9, 600.0).alarm
    assert detector.look(0.0, 0, 5.0).limit == pytest.approx(6_000.0, rel=0.05)
    rising = WaitDetector(3_600.0)
    assert [rising.look(10.0 * step, 9, 10.0).alarm for step in range(400)].index(True) == 361


def test_jobs_are_stuck_when_they_stay_so() -> None:
    detector = StuckDetector()
    assert not detector.look(3, LASTING / 2).alarm
    assert detector.look(3, LASTING / 2).alarm
    assert not detector.look(0, LASTING).alarm


def _latency(detector: LevelDetector, factor: float, looks: int) -> Reading:
    random = np.random.default_rng(1)
    for _ in range(looks):
        x = random.normal(5.0, 0.8, 50)
        y = 0.7 * x - 3 + random.normal(0, 0.4, 50) + math.log(factor)
        sums = Sums(50, x.sum(), y.sum(), (x * x).sum(), (x * y).sum(), (y * y).sum())
        reading = detector.look(sums, LOOK, FALSE_ALARMS)
        if reading.alarm:
            return reading
    return reading
