"""Whose turn it is to ship to a destination: an exporter process's, one at a time, or the workers'.

Two that ship to one destination at once do no harm, as the backlog's claims keep them apart; they only cost more.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from synthralos.control.leader import CAMPAIGNS_A_TERM, Leader
from synthralos.store.admin.processes import Leadership, Processes
from synthralos.store.sql.database import Database

KIND = "exporter"
"""Of exporter processes, among all that have a heartbeat; what they ship to stands where workers have their stages."""

LOOK_EVERY = 5.0
"""Seconds between two looks at which exporters live."""


def assigned(serving: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Which process ships to each destination, by what each of them can ship to: as evenly as that allows.

    Every process that sees the same processes comes to the same.
    """
    loads = dict.fromkeys(sorted(serving), 0)
    chosen: dict[str, str] = {}
    for destination in sorted({name for names in serving.values() for name in names}):
        able = [process for process in loads if destination in serving[process]]
        chosen[destination] = min(able, key=lambda process: (loads[process], process))
        loads[chosen[destination]] += 1
    return chosen


class LivingExporters:
    """What each living exporter ships to, as it was at the last look. Raises what the store raises."""

    def __init__(self, processes: Processes, fresh_within: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`fresh_within`: seconds of silence after which a process does not count."""
        self._processes, self._fresh_within, self._clock = processes, fresh_within, clock
        self.known: Mapping[str, Sequence[str]] = {}
        self._look_at = float("-inf")
        self._turn = threading.Lock()

    def __call__(self) -> Mapping[str, Sequence[str]]:
        """By process id."""
        with self._turn:
            if self._clock() >= self._look_at:
                living = self._processes.living(KIND)
                running = [p for p in living if p.state == "running" and p.age < self._fresh_within]
                self.known = {process.id: process.stages for process in running}
                self._look_at = self._clock() + LOOK_EVERY
            return self.known


class WorkersTurn:
    """A worker's: it ships where the settings say so, or while no exporter lives that ships to the destination."""

    def __init__(self, by: str, exporters: LivingExporters) -> None:
        """`by`: the setting EXPORT_BY."""
        self._by, self._exporters = by, exporters

    def __call__(self, destination: str) -> bool:
        """Whether the workers ship there now. Raises what the store raises."""
        return self._is_ours(destination, self._exporters() if self._by == "auto" else {})

    def lately(self, destination: str) -> bool:
        """The same as it was at the last look, without one."""
        return self._is_ours(destination, self._exporters.known)

    def _is_ours(self, destination: str, serving: Mapping[str, Sequence[str]]) -> bool:
        if self._by != "auto":
            return self._by == "workers"
        return not any(destination in names for names in serving.values())


class ExportersTurn:
    """An exporter's: it ships to the destinations that fall to it, and holds each by a term."""

    def __init__(
        self,
        database: Database,
        exporters: Callable[[], Mapping[str, Sequence[str]]],
        process_id: Callable[[], str],
        term_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`process_id`: of this process, by which the others know it."""
        self._database, self._exporters, self._process_id = database, exporters, process_id
        self._term, self._clock = term_seconds, clock
        self._leaders: dict[str, tuple[str, Leader]] = {}
        self._renew_at: dict[str, float] = {}

    def __call__(self, destination: str) -> bool:
        """Whether this process ships there now; called by one thread for each destination."""
        mine = self._process_id()
        if assigned(self._exporters()).get(destination) != mine:
            self._resign(destination)
            return False
        holder, leader = self._leaders.get(destination, ("", None))
        if leader is None or holder != mine:
            leadership = Leadership(self._database, f"exports/{destination}", mine, self._term)
            leader = Leader(leadership, self._term, what=f"the exports to {destination}", clock=self._clock)
            self._leaders[destination] = mine, leader
            self._renew_at.pop(destination, None)
        if leader.term is None or self._clock() >= self._renew_at.get(destination, 0.0):
            leader.campaign()
            self._renew_at[destination] = self._clock() + self._term / CAMPAIGNS_A_TERM
        return leader.term is not None

    def held(self) -> dict[tuple[str, ...], float]:
        """1 for each destination that this process holds, else 0."""
        return {(name,): float(leader.term is not None) for name, (_, leader) in list(self._leaders.items())}

    def resign(self) -> None:
        """Hold nothing any more, so that another process can ship at once."""
        for destination in list(self._leaders):
            self._resign(destination)

    def _resign(self, destination: str) -> None:
        _, leader = self._leaders.pop(destination, ("", None))
        if leader is not None:
            leader.resign()
