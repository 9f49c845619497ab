"""What a data plane's answers mean for the events that were posted, and how the bad ones are told from the good."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

from pipelines.analyze.exporters.rudderstack.sizes import MOST_BATCH, MOST_EVENT, batches
from pipelines.providers.transport.protocol import Result, TransportFailure


class Fate(StrEnum):
    """What becomes of the events of one request."""

    ACCEPTED = "accepted"
    SPLIT = "split"
    """One of them is bad, or they are too many: they go in parts."""
    LATER = "later"
    """The data plane is away, or busy."""
    CLOSED = "closed"
    """It takes nothing from us until somebody has changed something."""


_SPLIT = {400: "it is not an event that the data plane takes", 413: "it is too large for the data plane"}
_CLOSED = {
    401: "the write key is wrong (401): look at RUDDERSTACK_WRITE_KEY",
    403: "access is forbidden (403): look at RUDDERSTACK_WRITE_KEY and at the source in RudderStack",
    404: "no source is there (404): look at RUDDERSTACK_DATA_PLANE_URL, and whether the source is enabled",
}
_ALL_REFUSED = "the data plane refuses a plain event, too: look at RUDDERSTACK_DATA_PLANE_URL"
_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class Answered:
    """What one request came to, and why, for people. `retry_after`: seconds, where the data plane says so."""

    fate: Fate
    reason: str = ""
    retry_after: float | None = None
    too_large: bool = False


def answered(result: Result) -> Answered:
    """What an answer means. Nothing but a 200 says that the events are kept."""
    if isinstance(result, TransportFailure):
        return Answered(Fate.LATER, result.message)
    status = result.status
    if status == 200:
        return Answered(Fate.ACCEPTED)
    if status in _SPLIT:
        return Answered(Fate.SPLIT, f"{_SPLIT[status]} ({status})", too_large=status == 413)
    if status in _PASSING or status >= 500 or status < 300:
        return Answered(Fate.LATER, f"the data plane answers {status}", _seconds(result.headers.get(b"retry-after")))
    other = f"the data plane answers {status}: look at RUDDERSTACK_DATA_PLANE_URL"
    return Answered(Fate.CLOSED, _CLOSED.get(status, other))


def _seconds(value: bytes | None) -> float | None:
    return float(value) if value is not None and value.isdigit() else None


@dataclass(slots=True)
class Delivered:
    """Places of the events that the data plane keeps, and of those that it never will, with the reason.

    The rest was not delivered, for the reason in `stopped`.
    """

    accepted: set[int] = field(default_factory=set)
    poisoned: dict[int, str] = field(default_factory=dict)
    stopped: Answered | None = None


Post = Callable[[Sequence[bytes]], Answered]
"""Posts events in one request."""


class Delivery:
    """Delivers events in requests as large as the data plane takes them. What it learns of that it keeps."""

    def __init__(self, post: Post, harmless: Callable[[], bytes]) -> None:
        """`harmless` makes an event that nothing can be wrong with."""
        self._post, self._harmless = post, harmless
        self._most_bytes = MOST_BATCH

    def deliver(self, events: Sequence[bytes], most: int) -> Delivered:
        """Post the events in their order, `most` at once, until all are delivered or the data plane takes no more."""
        delivered = Delivered()
        places = count()
        for batch in batches(events, most, self._most_bytes):
            self._deliver([(next(places), event) for event in batch], delivered)
            if delivered.stopped is not None:
                break
        return delivered

    def _deliver(self, batch: list[tuple[int, bytes]], delivered: Delivered) -> None:
        """One batch: in halves where it is refused, down to the events that are at fault."""
        left = [batch]
        while left and delivered.stopped is None:
            part = left.pop()
            answer = self._post([event for _, event in part])
            if answer.fate is Fate.ACCEPTED:
                delivered.accepted.update(place for place, _ in part)
            elif answer.fate is not Fate.SPLIT:
                delivered.stopped = answer
            elif len(part) > 1:
                if answer.too_large:
                    self._most_bytes = max(MOST_EVENT, sum(len(event) for _, event in part) // 2)
                left += reversed(list(_halves(part)))
            else:
                self._blame(part[0][0], answer, delivered)

    def _blame(self, place: int, answer: Answered, delivered: Delivered) -> None:
        """One event was refused alone. Where nothing was accepted so far, it may be that nothing would be."""
        if not delivered.accepted and not delivered.poisoned:
            check = self._post([self._harmless()])
            if check.fate is not Fate.ACCEPTED:
                delivered.stopped = Answered(Fate.CLOSED, _ALL_REFUSED) if check.fate is Fate.SPLIT else check
                return
        delivered.poisoned[place] = answer.reason


def _halves(part: list[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    middle = len(part) // 2
    yield part[:middle]
    yield part[middle:]
