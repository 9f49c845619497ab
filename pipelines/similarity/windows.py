"""The windows of many tenants, within bounds together: who has not been asked for longest is forgotten first."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from pipelines.similarity.embedding import Floats
from pipelines.similarity.recent import Near, Prompt, RecentPrompts


class Windows:
    """A window a tenant, made when its first prompt comes. Safe for threads.

    `most_bytes` is for all windows together, `most` and `window_bytes` for each; `seconds` as in `RecentPrompts`.
    """

    def __init__(
        self,
        dimensions: int,
        most: int = 100_000,
        seconds: float = 86_400.0,
        window_bytes: int = 100_000_000,
        most_bytes: int = 400_000_000,
    ) -> None:
        self._dimensions, self._most, self._seconds = dimensions, most, seconds
        self._window_bytes, self._most_bytes = min(window_bytes, most_bytes), most_bytes
        self._windows: OrderedDict[str, RecentPrompts] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def bytes(self) -> int:
        """What all windows take, about."""
        return self._bytes

    def add(self, tenant: str, prompts: Sequence[Prompt], embeddings: Floats) -> None:
        """Keeps a tenant's prompts, a row of `embeddings` each."""
        if not prompts:
            return
        with self._lock:
            window = self._windows.get(tenant)
            if window is None:
                window = RecentPrompts(self._dimensions, self._most, self._seconds, self._window_bytes)
                self._windows[tenant] = window
            window.add(prompts, embeddings)
            self._used(tenant)
            while self._bytes > self._most_bytes and len(self._windows) > 1:
                self._forget(next(iter(self._windows)))

    def search(self, tenant: str, embeddings: Floats, k: int, now: float | None = None) -> list[list[Near]]:
        """For each vector the `k` nearest prompts of the tenant; see `RecentPrompts.search`."""
        with self._lock:
            window = self._windows.get(tenant)
        if window is None:
            return [[] for _ in embeddings]
        found = window.search(embeddings, k, now)
        with self._lock:
            if self._windows.get(tenant) is window:
                self._used(tenant)
        return found

    def expire(self, now: float) -> None:
        """Forgets what is older than the window, and tenants of whom nothing is left."""
        with self._lock:
            for tenant, window in list(self._windows.items()):
                window.expire(now)
                self._measure(tenant)
                if not len(window):
                    self._forget(tenant)

    def _used(self, tenant: str) -> None:
        self._windows.move_to_end(tenant)
        self._measure(tenant)

    def _measure(self, tenant: str) -> None:
        size = self._windows[tenant].bytes
        self._bytes += size - self._sizes.get(tenant, 0)
        self._sizes[tenant] = size

    def _forget(self, tenant: str) -> None:
        del self._windows[tenant]
        self._bytes -= self._sizes.pop(tenant)
