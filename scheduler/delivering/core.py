"""The leader's delivery of the feed: one thread that decides and writes, and a bounded number that send.

Nothing here is on a job's way. What is sent and not yet written down when the leader is killed is sent again by the
next one, under the same id.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from scheduler.delivering.fan_out import MOST_WAITING, FanOut
from scheduler.delivering.lanes import Lane, Lanes
from scheduler.outages import ResilientTask
from synthralos.bus.protocol import Bus, Topic
from synthralos.domain.delivering import Channel, Outcome, Refused, Sending, TryAgain
from synthralos.store.queue.deliveries import Deliveries, Ended
from synthralos.store.queue.leading import Lead
from synthralos.store.sql.database import Database
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks at the feed while nothing is heard."""

LEAST_PAUSE = 0.5
"""Seconds between two looks at the feed however much is heard."""

DISABLE_AFTER = 100
"""Failures in a row after which a target is disabled: with their pauses, some three days."""

_BATCH = 16
_TOPICS = (Topic.FEED, Topic.CHANGED, Topic.BREAKERS)


class Delivering:
    """Delivers to the targets of one channel while this process leads. `start` returns at once."""

    def __init__(
        self,
        database: Database,
        channel: Channel,
        lead: Callable[[], Lead | None],
        outages: Outages,
        metrics: Metrics,
        *,
        threads: int = 16,
        disable: Callable[[str, str], object] = lambda target_id, reason: None,
        disable_after: int = DISABLE_AFTER,
    ) -> None:
        """`disable` is given a target and the reason where it is to get nothing any more."""
        self._channel = channel
        self._lead = lead
        self._metrics = metrics
        self._disable, self._disable_after = disable, disable_after
        self._deliveries = Deliveries(database)
        self._fan_out = FanOut(database, channel.name)
        self._lanes = Lanes(threads)
        self._threads = threads
        self._senders: ThreadPoolExecutor | None = None
        self._changed = threading.Condition()
        self._results: list[tuple[Sending, Outcome]] = []
        self._unwritten: list[Ended] = []
        self._heard: set[str] | None = set()
        self._something = self._stopped = False
        self._look_at = self._earliest = 0.0
        self._safely = ResilientTask(f"the delivery of {channel.name}", self._round, outages)
        self._thread = threading.Thread(target=self._run, name=f"delivery of {channel.name}", daemon=True)
        self._behind_since: float | None = None
        metrics.reads(families.FEED_LAG, self._lag)
        metrics.reads(families.TARGETS_FAILING, lambda: {(channel.name,): self._lanes.failing})

    def start(self, bus: Bus) -> None:
        """Begin."""
        for topic in _TOPICS:
            bus.subscribe(topic, self.hear if topic is Topic.FEED else lambda _: self._hear_more())
        self._thread.start()

    def stop(self) -> None:
        """Finish the tries that are under way, write down what became of them, and begin no other."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def hear(self, target_ids: Sequence[str] | None) -> None:
        """There may be more of the feed, or something due for these targets; None: for any."""
        with self._changed:
            self._heard = None if target_ids is None or self._heard is None else self._heard | set(target_ids)
            self._something = True
            self._changed.notify_all()

    def _hear_more(self) -> None:
        """Something has happened to jobs, which costs nothing where nobody wants to hear of it."""
        if self._lanes.all():
            self.hear([])

    def _run(self) -> None:
        while not self._stopped:
            self._safely()
            self._sleep()
        if self._senders is not None:
            self._senders.shutdown(wait=True, cancel_futures=True)
            ResilientTask(f"the end of the delivery of {self._channel.name}", self._collect, Outages())()

    def _round(self) -> bool:
        lead = self._lead()
        self._collect()
        if lead is None:
            self._forget()
            return False
        self._look(lead)
        self._load()
        self._send()
        return True

    def _lag(self) -> Mapping[tuple[str, ...], float]:
        if self._lead() is None:
            return {}
        since = self._behind_since
        return {(self._channel.name,): 0.0 if since is None else time.monotonic() - since}

    def _forget(self) -> None:
        """Whoever leads knows better; what is under way here is waited for all the same."""
        self._behind_since = None
        self._lanes.set_targets([])
        with self._changed:
            self._heard, self._something = set(), False
        self._look_at = time.monotonic() + 1.0

    def _look(self, lead: Lead) -> None:
        """Read the feed on, where there is reason to."""
        now = time.monotonic()
        with self._changed:
            if now < self._look_at and not (self._something and now >= self._earliest):
                return
            heard, self._heard, self._something = self._heard, set(), False
        self._look_at, self._earliest = now + LEAST_PAUSE, now + LEAST_PAUSE  # a look that fails comes again
        targets = self._channel.targets()
        if not targets and not self._lanes.all():
            self._look_at = now + LOOK_EVERY
            return
        positions = self._fan_out.positions(targets)
        for lane in self._lanes.set_targets(targets):
            lane.count = self._deliveries.count(lane.target.id, MOST_WAITING)
        for target in targets:
            self._lanes.stands(target.id, positions[target.id].failures)
        self._lanes.wake(heard)
        for target in targets:
            self._lanes[target.id].full = self._lanes[target.id].count >= MOST_WAITING
        open_ = [target for target in targets if not self._lanes[target.id].full]
        got, more = self._fan_out.round(lead, open_)
        behind = self._fan_out.behind(targets)
        self._behind_since = (now if self._behind_since is None else self._behind_since) if behind else None
        for target_id, count in got.items():
            self._lanes[target_id].count += count
        self._lanes.wake(got)
        self._look_at = now + (0.0 if more else LOOK_EVERY)
        self._earliest = now if more else self._earliest

    def _load(self) -> None:
        for lane in self._lanes.all():
            if lane.wants_more(time.monotonic()):
                due = self._deliveries.due(lane.target, _BATCH)
                lane.waiting.extend(due.sendings)
                seconds = 60.0 if due.seconds is None else min(60.0, due.seconds)
                lane.load_at = time.monotonic() + seconds

    def _send(self) -> None:
        if self._senders is None:
            self._senders = ThreadPoolExecutor(self._threads, thread_name_prefix=f"deliver-{self._channel.name}")
        for sending in self._lanes.next_sendings(time.monotonic()):
            self._senders.submit(self._try, sending)

    def _try(self, sending: Sending) -> None:
        """In a thread of the senders."""
        outcome: Outcome
        try:
            outcome = self._channel.deliver(sending)
        except Exception as error:  # a bug of the channel, which must not cost the event
            log.exception("delivering to %s failed", self._channel.name)
            outcome = TryAgain(f"a bug here: {type(error).__name__}")
        with self._changed:
            self._results.append((sending, outcome))
            self._changed.notify_all()

    def _collect(self) -> bool:
        """Write down what became of tries; what cannot be written now is kept."""
        with self._changed:
            results, self._results = self._results, []
        now = time.monotonic()
        self._unwritten += [Ended(sending, out, self._lanes.ended(sending, out, now)) for sending, out in results]
        if not self._unwritten:
            return False
        aside = self._deliveries.finish(self._channel.name, self._unwritten)
        ended, self._unwritten = self._unwritten, []
        counted = self._metrics.counters(families.DELIVERIES)
        for each in ended:
            counted[self._channel.name, _word(each.outcome)].inc()
            self._look_after(self._lanes[each.sending.target.id], each.outcome)
        counted[self._channel.name, "set_aside"].inc(aside)
        return True

    def _look_after(self, lane: Lane, outcome: Outcome) -> None:
        if lane.has_room(MOST_WAITING):
            self._look_at = 0.0
        gone = isinstance(outcome, Refused) and outcome.gone
        if gone or lane.failures >= self._disable_after:
            self._lanes.halt(lane.target.id)
            reason = outcome.reason if isinstance(outcome, Refused) else f"{lane.failures} tries failed in a row"
            self._disable(lane.target.id, reason)

    def _sleep(self) -> None:
        with self._changed:
            until = min(self._look_at, time.monotonic() + self._lanes.seconds(time.monotonic()))
            self._changed.wait_for(self._woken, max(0.0, until - time.monotonic()))
            if self._something and not self._results and not self._stopped:
                pause = self._earliest - time.monotonic()
                self._changed.wait_for(lambda: self._stopped or bool(self._results), max(0.0, pause))

    def _woken(self) -> bool:
        return self._stopped or bool(self._results) or self._something


def _word(outcome: Outcome) -> str:
    return {"Delivered": "delivered", "Refused": "refused"}.get(type(outcome).__name__, "failed")
