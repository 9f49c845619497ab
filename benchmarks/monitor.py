"""The monitor's detectors on simulated series: what they find, how soon, and how often they cry wolf.

Healthy traffic of every kind in `traffic_series.KINDS`, days long; and faults that begin after a day that was healthy.
A fault is found in time within the deadline of its rate; at 100 calls/s those are the ones that are promised.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.report import figure, percentile, say, table
from benchmarks.traffic_series import DAY_LOOKS, KINDS, LOOK, Fault, Kind, Look, series
from synthralos.domain.detection import FALSE_ALARMS, SLOWER, FailureDetector, LevelDetector
from synthralos.store.read.call_sums import BEHIND

HEALTHY_DAYS, SMOKE_DAYS = 6, 0.25
"""Days of each kind."""

FAULTS_A_CASE, SMOKE_FAULTS = 20, 2
WARM_LOOKS = int(6 * 3_600 / LOOK)


@dataclass(frozen=True, slots=True)
class Case:
    """A fault at a rate, and the seconds within which it is to be found."""

    fault: Fault
    rate: float
    within: float


BROWN_OUT, SLOWED, DOWN = Fault("brown-out of 20 %", failing=0.2), Fault("latency × 3", slower=3.0), Fault("down", 1.0)
CASES = tuple(
    Case(fault, rate, seconds)
    for fault, deadlines in (
        (BROWN_OUT, ((100.0, 10.0), (10.0, 30.0), (1.0, 180.0), (0.1, 1_800.0))),
        (SLOWED, ((100.0, 20.0), (10.0, 30.0), (1.0, 120.0), (0.1, 900.0))),
        (DOWN, ((100.0, 10.0), (1.0, 30.0))),
    )
    for rate, seconds in deadlines
)


class Detectors:
    """Those of one deployment."""

    def __init__(self) -> None:
        self._failures = FailureDetector()
        self._latency = LevelDetector(SLOWER)

    def look(self, look: Look) -> set[str]:
        """The kinds of the alarms of this look, each of which restarts its detector."""
        found = {
            "failures": self._failures.look(look.calls, look.failures, LOOK, FALSE_ALARMS),
            "latency": self._latency.look(look.latency, LOOK, FALSE_ALARMS),
        }
        alarms = {name for name, reading in found.items() if reading.alarm}
        for name, detector in (("failures", self._failures), ("latency", self._latency)):
            if name in alarms:
                detector.restart()
        return alarms


def main(smoke: bool) -> None:
    """Prints `recall`, `false_alarms_per_day` and `detect_s`, and those of each case."""
    days = SMOKE_DAYS if smoke else HEALTHY_DAYS
    began = time.monotonic()
    alarms = {kind.name: _false_alarms(kind, int(days * DAY_LOOKS), 1 + number) for number, kind in enumerate(KINDS)}
    rows = [[name, f"{days:g}", str(count)] for name, count in alarms.items()]
    table("healthy traffic", ["kind", "days", "false alarms"], rows)
    found = {case: _found(case, SMOKE_FAULTS if smoke else FAULTS_A_CASE) for case in CASES}
    _tell(found)
    total = days * len(KINDS)
    say(f"{total:g} deployment-days and {sum(map(len, found.values()))} faults in {time.monotonic() - began:.0f} s")
    promised = [seconds for case, all_of in found.items() if case.rate == 100.0 for seconds in all_of]
    figure("recall", _share(found.items()), "share")
    figure("false_alarms_per_day", sum(alarms.values()) / total, "alarms/deployment-day")
    figure("detect_s", percentile(promised, 95), "s")
    figure("healthy_days", total, "deployment-days")


def _false_alarms(kind: Kind, looks: int, seed: int) -> int:
    detectors = Detectors()
    return sum(len(detectors.look(look)) for look in series(kind, looks, seed))


def _found(case: Case, times: int) -> list[float]:
    """Seconds until each of so many faults was found; infinite where it was not by twice its deadline."""
    return [_seconds_to(case, number) for number in range(times)]


def _seconds_to(case: Case, number: int) -> float:
    """A fault that begins in the midst of a look is as good as one at its beginning that waited for that long."""
    kind = KINDS[number % len(KINDS)]
    kind = Kind("", case.rate, min(kind.failing, 0.02), kind.spread, hiccups=kind.hiccups, shaky=kind.shaky)
    looks = WARM_LOOKS + math.ceil(2 * case.within / LOOK) + 1
    early = (number % 10) / 10 * LOOK
    detectors = Detectors()
    for place, look in enumerate(series(kind, looks, 1_000 + number, case.fault, WARM_LOOKS)):
        if detectors.look(look) and place >= WARM_LOOKS:
            return (place + 1 - WARM_LOOKS) * LOOK + early + BEHIND
    return math.inf


def _share(found: Iterable[tuple[Case, Sequence[float]]]) -> float:
    in_time = [seconds <= case.within for case, all_of in found for seconds in all_of]
    return sum(in_time) / len(in_time)


def _tell(found: dict[Case, list[float]]) -> None:
    heads = ["fault", "calls/s", "within s", "in time", "median s", "p95 s"]
    rows = []
    for case, all_of in found.items():
        share, middle, late = _share([(case, all_of)]), median(all_of), percentile(all_of, 95)
        rows.append(
            [case.fault.name, f"{case.rate:g}", f"{case.within:g}", f"{share:.0%}", f"{middle:.1f}", f"{late:.1f}"]
        )
        name = case.fault.name.split()[0].replace("-", "_")
        figure(f"detect_s_{name}_{case.rate:g}_per_s", middle, "s")
    table("faults", heads, rows)


if __name__ == "__main__":
    main(smoke=False)
