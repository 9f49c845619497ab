"""RudderStack as a destination of traces: `POST {data plane}/v1/batch`, over our own HTTP.

Not by RudderStack's SDK: its queue is lost with the process, and what the data plane refuses is dropped with all that
was posted beside it. The wire format is held against the SDK's in tests/conformance/test_rudderstack_wire.py.
"""

import asyncio
import base64
import gzip
import random
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pipelines.analyze.exporters.rudderstack.delivering import Answered, Delivered, Delivery, Fate, answered
from pipelines.analyze.exporters.rudderstack.events import Content, Events
from pipelines.analyze.exporters.rudderstack.sizes import body, encode
from pipelines.analyze.protocol import Answer, Trace
from pipelines.analyze.trace import rfc3339
from pipelines.providers.transport.client import Client
from pipelines.providers.transport.protocol import Request, Timeouts
from synthralos.domain.exports import Destination, Rest

TIMEOUTS = Timeouts(connect=5.0, first_byte=15.0, idle=15.0, total=30.0)

SHIPMENT_SECONDS = 120.0
"""After which no further request of a shipment is begun: what is left comes again."""

MOST_TRACES = 500
"""Traces of a shipment while a backlog drains."""

DRAINING_EVENTS = 1_000
"""Events of a request meanwhile."""

FIRST_REST, LONGEST_REST = 5.0, 600.0
"""Seconds that the data plane is left alone where it is away: up to so many, twice as many each time, at most."""

MOST_PEOPLE = 10_000
"""Users of whom it is remembered that they were told of."""

_LEVEL = 3
"""Of gzip: a tenth of the size, at a third of the time that the usual level takes."""


class Account(NamedTuple):
    """Where to, as whom, and what is declared of it. `url` is the data plane's, without `/v1/batch`."""

    url: str
    write_key: str
    residency: str | None = None
    batch: int = 20
    content: Content = "none"


class _Encoded(NamedTuple):
    """An event as it is sent, and the place of its trace in the shipment. `identifies`: the message id of a user's."""

    owner: int
    encoded: bytes
    identifies: str | None = None


class _Made(NamedTuple):
    """The events of a shipment, and places of traces of which there are none, with the reason."""

    events: list[_Encoded]
    unfit: dict[int, str]


class RudderStackExporter:
    """See `Exporter`. Lives in one thread, on an event loop of its own."""

    def __init__(
        self,
        account: Account,
        version: str,
        jitter: Callable[[float, float], float] = random.uniform,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """`version` is ours, as the data plane is told."""
        self.destination = Destination("rudderstack", account.residency, most=MOST_TRACES)
        self._batch, self._jitter, self._timeouts = account.batch, jitter, timeouts
        self._events = Events(version, account.content, account.residency)
        self._delivery = Delivery(self._post, self._harmless)
        self._people: dict[str, None] = {}
        self._silent = 0  # shipments in a row that the data plane did not take
        self._ends_at = 0.0
        self._runner = asyncio.Runner()
        self._client = Client()
        basic = base64.b64encode(f"{account.write_key}:".encode()).decode()
        headers = (
            ("Authorization", f"Basic {basic}"),
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"synthralos/{version}"),
        )
        self._endpoint = self._client.endpoint("POST", f"{account.url}/v1/batch", headers)

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """See `Exporter`. A trace is accepted when all of its events are."""
        self._ends_at = time.monotonic() + SHIPMENT_SECONDS
        made = self._made(traces)
        draining = len(traces) > self.destination.batch
        most = max(self._batch, DRAINING_EVENTS) if draining else self._batch
        delivered = self._delivery.deliver([event.encoded for event in made.events], most)
        self._remember(event.identifies for place, event in enumerate(made.events) if place in delivered.accepted)
        return self._answer([trace["job"]["id"] for trace in traces], made, delivered)

    def close(self) -> None:
        """See `Exporter`."""
        self._runner.run(self._client.close())
        self._runner.close()

    def _made(self, traces: Sequence[Trace]) -> _Made:
        """The events of the traces. A trace of which none can be made holds up no other."""
        made = _Made([], {})
        told = set[str]()
        for place, trace in enumerate(traces):
            try:
                made.events.extend(self._of(place, trace, told))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                made.unfit[place] = f"no events can be made of it: {type(error).__name__}"
        return made

    def _of(self, owner: int, trace: Trace, told: set[str]) -> list[_Encoded]:
        """One trace's events; before them who its user is, where the data plane was not told yet."""
        events = [_Encoded(owner, encode(event)) for event in self._events.of(trace)]
        made = self._events.identify(trace)
        if made is None or made["messageId"] in told or made["messageId"] in self._people:
            return events
        told.add(made["messageId"])
        return [_Encoded(owner, encode(made), made["messageId"]), *events]

    def _remember(self, identified: Iterable[str | None]) -> None:
        self._people.update((message_id, None) for message_id in identified if message_id is not None)
        for _ in range(len(self._people) - MOST_PEOPLE):
            del self._people[next(iter(self._people))]

    def _answer(self, job_ids: Sequence[str], made: _Made, delivered: Delivered) -> Answer:
        """What became of the traces, by what became of their events."""
        open_, refused = set[int](), dict(made.unfit)
        for place, event in enumerate(made.events):
            if place in delivered.poisoned:
                refused[event.owner] = delivered.poisoned[place]
            elif place not in delivered.accepted:
                open_.add(event.owner)
        done = [owner for owner in range(len(job_ids)) if owner not in open_]
        return Answer(
            [job_ids[owner] for owner in done if owner not in refused],
            {job_ids[owner]: refused[owner] for owner in done if owner in refused},
            self._rest(delivered.stopped),
        )

    def _rest(self, stopped: Answered | None) -> Rest | None:
        """For how long the data plane is left alone: with full jitter where it is away, or for as long as it says."""
        if stopped is None:
            self._silent = 0
            return None
        if stopped.fate is Fate.CLOSED:
            return Rest(self._jitter(LONGEST_REST / 2, LONGEST_REST), stopped.reason, stopped=True)
        self._silent += 1
        longest = min(LONGEST_REST, FIRST_REST * 2 ** min(self._silent - 1, 20))
        wanted = min(stopped.retry_after or 0.0, LONGEST_REST)
        return Rest(max(1.0, wanted, self._jitter(0, longest)), stopped.reason)

    def _post(self, events: Sequence[bytes]) -> Answered:
        if time.monotonic() > self._ends_at:
            return Answered(Fate.LATER, "the data plane is slow")
        packed = gzip.compress(body(events, _now()), _LEVEL, mtime=0)
        return answered(self._runner.run(self._client.send(Request(self._endpoint, (), packed, self._timeouts))))

    def _harmless(self) -> bytes:
        return encode(self._events.check(_now()))


def _now() -> str:
    return str(rfc3339(datetime.now(UTC)))
