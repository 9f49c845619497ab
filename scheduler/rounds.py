"""A thread that makes round after round, asleep for as long as nothing is due: the sweeper's, and the firing's."""

import threading
import time
from collections.abc import Callable, Sequence

from synthralos.bus.protocol import Bus, Topic


class Rounds:
    """Calls `sweep` again when the seconds that it gave are over, or when the bus says that something has changed.

    A job that was parked a moment ago may be due before anything that the last round knew of. Between two rounds are at
    least `pause` seconds, except where a round left something undone (it then gives 0).
    """

    def __init__(
        self,
        sweep: Callable[[], float],
        bus: Bus,
        pause: float,
        topic: Topic = Topic.CHANGED,
        name: str = "sweeper",
    ) -> None:
        """`sweep` never raises. What is said of the `topic` wakes it; `name` is the thread's."""
        self._sweep = sweep
        self._bus = bus
        self._pause = pause
        self._topic = topic
        self._changed = threading.Condition()
        self._heard = self._stopped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the round that runs, and begin no other."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        self._bus.subscribe(self._topic, self._wake)
        while not self._stopped:
            with self._changed:
                self._heard = False
            began = time.monotonic()
            seconds = self._sweep()
            if seconds > 0:
                self._sleep(began, seconds)

    def _sleep(self, began: float, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, max(0.0, began + self._pause - time.monotonic()))
            self._changed.wait_for(lambda: self._stopped or self._heard, max(0.0, seconds - self._pause))

    def _wake(self, _: Sequence[str] | None) -> None:
        with self._changed:
            self._heard = True
            self._changed.notify_all()
