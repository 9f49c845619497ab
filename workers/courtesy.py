"""Shipping gives way to jobs: while a process is busy with them, its shippers take a small share of its time."""

import threading
import time

BUSY = 0.5
"""Of a core: what else a process does when it counts as busy. All its Python code shares one."""

SHARE = 0.05
"""Of a core: what one shipper of a busy process takes at most, over a while."""

LONGEST = 5.0
"""Seconds of one pause at most."""


class Courtesy:
    """What all shippers of a process have taken of its time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0.0

    def took(self, seconds: float) -> None:
        """A shipper took so much CPU time."""
        with self._lock:
            self._taken += seconds

    def others(self) -> float:
        """Seconds of CPU time that this process took for everything else, ever."""
        with self._lock:
            return time.process_time() - self._taken


class Manners:
    """One shipper's."""

    def __init__(self, courtesy: Courtesy) -> None:
        self._courtesy = courtesy
        self._at, self._others = time.monotonic(), courtesy.others()
        self._own = 0.0

    def begin(self) -> None:
        """A shipment begins; in the shipper's thread."""
        self._own = time.thread_time()

    def pause(self) -> float:
        """The seconds to wait after it: 0 where the process has nothing better to do."""
        spent = time.thread_time() - self._own
        self._courtesy.took(spent)
        at, others = time.monotonic(), self._courtesy.others()
        load = (others - self._others) / max(at - self._at, 1e-6)
        self._at, self._others = at, others
        return min(spent * (1 / SHARE - 1), LONGEST) if load > BUSY else 0.0
