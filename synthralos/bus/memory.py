"""The bus within one process."""

from collections.abc import Iterable

from synthralos.bus.protocol import Listener, Topic
from synthralos.store.sql.notices import Notice


class MemoryBus:
    """Within one process. Other processes on the same SQLite file rely on their own looking."""

    def __init__(self) -> None:
        self._listeners: dict[Topic, list[Listener]] = {topic: [] for topic in Topic}

    def publish(self, topic: Topic, job_ids: Iterable[str]) -> None:
        """Tell this process's listeners, in the caller's thread."""
        ids = list(job_ids)
        for listener in list(self._listeners[topic]) if ids else ():
            listener(ids)

    def notices(self, topic: Topic, job_ids: Iterable[str]) -> list[Notice]:
        """None: nobody else could tell it."""
        return []

    def subscribe(self, topic: Topic, listener: Listener) -> None:
        """Hear what is published from now on."""
        self._listeners[topic].append(listener)

    def close(self) -> None:
        """Forget the listeners."""
        for listeners in self._listeners.values():
            listeners.clear()
