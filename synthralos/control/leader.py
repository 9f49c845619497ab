"""Who leads, or holds something: one process at a time, by a term in the database that has to be renewed."""

import logging
import threading
import time
from collections.abc import Callable

from synthralos.store.admin.processes import Leadership

log = logging.getLogger(__name__)

ROLE = "scheduler"

CAMPAIGNS_A_TERM = 3
"""How often a term is renewed within itself: two renewals may fail before the lead is lost."""

_TRUSTED = 0.9
"""The part of a term that is relied on: two machines' clocks may run differently fast."""


class Leader:
    """Campaigns for the lead, and knows without asking whether it still has it.

    A term is counted from before the campaign was sent, by this machine's monotonic clock: the database
    counts from later, so the lead is given up here before anybody else can win it.
    """

    def __init__(
        self,
        leadership: Leadership,
        term_seconds: float,
        *,
        what: str = "the lead of the schedulers",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`what` it is that is won, for the log."""
        self._leadership, self._what = leadership, what
        self._seconds = term_seconds * _TRUSTED
        self._clock = clock
        self._number: int | None = None
        self._until = float("-inf")
        self._turn = threading.Lock()

    @property
    def term(self) -> int | None:
        """The number of the term that this process leads in; None while it does not lead."""
        return self._number if self._clock() < self._until else None

    def campaign(self) -> int | None:
        """Win or renew the lead. Raises what the store raises; the lead then lasts until its term ends."""
        with self._turn:
            before, asked_at = self.term, self._clock()
            self._number = self._leadership.campaign()
            self._until = float("-inf") if self._number is None else asked_at + self._seconds
            if self._number != before:
                self._log_change(before)
            return self.term

    def resign(self) -> None:
        """Give the lead up, so that another process can take it at once."""
        led = self.term
        self._until = float("-inf")
        self._leadership.resign()
        if led is not None:
            log.info("resigned from %s (term %d)", self._what, led)

    def _log_change(self, before: int | None) -> None:
        if self._number is None:
            log.warning("lost %s (term %d)", self._what, before)
        else:
            log.info("this process has %s now (term %d)", self._what, self._number)
