"""Shipping gives way to jobs: while a process is busy with them, its shippers take a small share of its time."""

import threading
import time

BUSY = 0.5
"""Of a core: what else a process does when it counts as busy. All its Python code shares one."""

SHARE = 0.05
"""Of a core: what one shipper of a busy process takes at most, over a while."""

LONGEST = 5.0
"""Seconds of one pause at most."""


_CLOCK_OF = getattr(time, "pthread_getcpuclockid", None)
"""Where a thread's CPU time can be asked for by others: without it nobody counts as busy."""


class Courtesy:
    """The shippers' threads of one process, and what it does beside them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clocks: dict[int, int] = {}
        self._left = 0.0

    def join(self) -> None:
        """The calling thread is a shipper's from now on."""
        if _CLOCK_OF is not None:
            with self._lock:
                self._clocks[threading.get_ident()] = _CLOCK_OF(threading.get_ident())

    def leave(self) -> None:
        """The calling thread ends."""
        with self._lock:
            if self._clocks.pop(threading.get_ident(), None) is not None:
                self._left += time.thread_time()

    def others(self) -> float:
        """Seconds of CPU time that everything else in this process has taken, ever."""
        if _CLOCK_OF is None:
            return 0.0
        with self._lock:
            return time.process_time() - self._left - sum(map(time.clock_gettime, self._clocks.values()))


class Manners:
    """One shipper's; used in its thread."""

    def __init__(self, courtesy: Courtesy) -> None:
        self._courtesy = courtesy
        self._at, self._others = time.monotonic(), courtesy.others()
        self._own = 0.0

    def begin(self) -> None:
        """A shipment begins."""
        self._own = time.thread_time()

    def pause(self) -> float:
        """The seconds to wait after it: 0 where the process has nothing better to do."""
        spent = time.thread_time() - self._own
        at, others = time.monotonic(), self._courtesy.others()
        load = (others - self._others) / max(at - self._at, 1e-6)
        self._at, self._others = at, others
        return min(spent * (1 / SHARE - 1), LONGEST) if load > BUSY else 0.0
