"""The gates of this process's calls, breakers and quotas, with the threads that share what they find."""

import threading
from collections.abc import Callable

from pipelines.flow.gates import Gates
from synthralos.config.credentials import Credentials
from synthralos.core import Core
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.quotas import QuotaStore
from synthralos.telemetry.families import BREAKERS
from workers.breaking import BreakerWatch
from workers.quota_keeping import QuotaKeeper

_LAST_TURN = 1.0
"""Seconds that the loop has to give back what it holds of quotas."""


class Gatekeeping:
    """Built once for a process."""

    def __init__(self, core: Core, on_loop: Callable[..., None], identity: Callable[[], str]) -> None:
        """`on_loop` calls a function on the loop of the calls; `identity` is this process's id."""

        def credentials() -> Credentials:
            return core.live.current.credentials

        self._on_loop = on_loop
        self._breakers = BreakerWatch(
            BreakerStore(core.database),
            core.bus,
            on_loop,
            identity,
            lambda: core.catalog,
            core.settings.call_timeout,
            core.outages,
            credentials=credentials,
            metrics=core.metrics,
        )
        self._quotas = QuotaKeeper(
            QuotaStore(core.database),
            core.bus,
            on_loop,
            identity,
            lambda: core.catalog,
            core.metrics,
            core.outages,
            credentials,
        )
        self.gates = Gates(self._breakers.breakers, self._quotas.quotas, lambda: core.catalog)
        core.metrics.reads(BREAKERS, self._breakers.breakers.states)

    def start(self) -> None:
        """Begin to hear, and to look."""
        self._breakers.start()
        self._quotas.start()

    def stop(self) -> None:
        """Write what is still to be written; no call is made any more."""
        self._breakers.stop()
        given = threading.Event()
        self._on_loop(self._give_back, given)
        given.wait(_LAST_TURN)
        self._quotas.stop()

    def _give_back(self, given: threading.Event) -> None:
        self._quotas.quotas.give_back()
        given.set()
