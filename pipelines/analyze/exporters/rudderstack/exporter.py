"""RudderStack as a destination of traces: `POST {data plane}/v1/batch`, over our own HTTP.

Not by RudderStack's SDK: its queue is lost with the process, and what the data plane refuses is dropped with all that
was posted beside it. The wire format is held against the SDK's in tests/conformance/test_rudderstack_wire.py.
"""

import base64
import gzip
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pipelines.analyze.exporters.http_replies import STOPPED_FOR, reply_of
from pipelines.analyze.exporters.rudderstack.events import Content, Events
from pipelines.analyze.exporters.rudderstack.sizes import MOST_BATCH, body, encode
from pipelines.analyze.exporters.splitting import Packed, Refusal, Reply, Splitter, Told
from pipelines.analyze.giving_way import giving_way
from pipelines.analyze.protocol import Answer, Trace
from pipelines.analyze.trace import rfc3339
from pipelines.posting import Poster
from synthralos.domain.exports import Destination, Rest

TIMEOUT = 30.0
"""Seconds that a request may take."""

MOST_TRACES = 500
"""Traces of a shipment while a backlog drains."""

DRAINING_EVENTS = 1_000
"""Events of a request meanwhile."""

MOST_PEOPLE = 10_000
"""Users of whom it is remembered that they were told of."""

_LEVEL = 1
"""Of gzip: an eighth of the size, at a fifth of the time that the usual level takes."""

_KEY, _ADDRESS = "look at RUDDERSTACK_WRITE_KEY", "look at RUDDERSTACK_DATA_PLANE_URL"
_REMEDIES = {
    301: _ADDRESS,
    302: _ADDRESS,
    307: _ADDRESS,
    308: _ADDRESS,
    401: f"the write key is wrong, {_KEY}",
    403: f"{_KEY} and at the source in RudderStack",
    404: f"{_ADDRESS}, and whether the source is enabled",
    405: _ADDRESS,
}


class Account(NamedTuple):
    """Where to, as whom, and what is declared of it. `url` is the data plane's, without `/v1/batch`."""

    url: str
    write_key: str
    residency: str | None = None
    batch: int = 20
    content: Content = "none"


class _Made(NamedTuple):
    """The events of a shipment, by key; the place of each one's trace, what identifies whom, and traces without any.

    `owners` has the place in the shipment of an event's trace; `identifies` the message id of those that tell of a
    user; `unfit` the places of traces of which no events can be made, with the reason.
    """

    events: list[Packed]
    owners: dict[str, int]
    identifies: dict[str, str]
    unfit: dict[int, str]


class RudderStackExporter:
    """See `Exporter`. Lives in one thread."""

    def __init__(self, account: Account, version: str, timeout: float = TIMEOUT) -> None:
        """`version` is ours, as the data plane is told; `timeout` in seconds, of a request."""
        self.destination = Destination("rudderstack", account.residency, most=MOST_TRACES)
        self._batch = account.batch
        self._events = Events(version, account.content)
        self._splitter = Splitter(self._send, MOST_BATCH, self._check)
        self._people: dict[str, None] = {}
        self._poster = Poster(timeout)
        self._url = f"{account.url}/v1/batch"
        basic = base64.b64encode(f"{account.write_key}:".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": f"synthralos/{version}",
        }

    def ship(self, traces: Sequence[Trace]) -> Answer:
        """See `Exporter`. A trace is accepted when all of its events are."""
        made = self._made(traces)
        draining = len(traces) > self.destination.batch
        told = self._splitter.send(made.events, max(self._batch, DRAINING_EVENTS) if draining else self._batch)
        self._remember(made.identifies[key] for key in told.accepted if key in made.identifies)
        return _answer([trace["job"]["id"] for trace in traces], made, told)

    def close(self) -> None:
        """See `Exporter`."""
        self._poster.close()

    def _made(self, traces: Sequence[Trace]) -> _Made:
        """The events of the traces. A trace of which none can be made holds up no other."""
        made = _Made([], {}, {}, {})
        told = set[str]()
        for place, trace in enumerate(giving_way(traces)):
            try:
                self._add(made, place, trace, told)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                made.unfit[place] = f"no events can be made of it: {type(error).__name__}"
        return made

    def _add(self, made: _Made, place: int, trace: Trace, told: set[str]) -> None:
        """One trace's events; before them who its user is, where the data plane was not told yet."""
        encoded = [encode(event) for event in self._events.of(trace)]
        person = self._events.identify(trace)
        if person is not None and person["messageId"] not in told and person["messageId"] not in self._people:
            told.add(person["messageId"])
            encoded.insert(0, encode(person))
            made.identifies[str(len(made.events))] = person["messageId"]
        for each in encoded:
            key = str(len(made.events))
            made.events.append(Packed(key, each))
            made.owners[key] = place

    def _remember(self, identified: Iterable[str]) -> None:
        self._people.update(dict.fromkeys(identified))
        for _ in range(len(self._people) - MOST_PEOPLE):
            del self._people[next(iter(self._people))]

    def _send(self, events: Sequence[Packed]) -> Reply:
        return self._post([event.body for event in events])

    def _post(self, events: Sequence[bytes]) -> Reply:
        packed = gzip.compress(body(events, _now()), _LEVEL, mtime=0)
        posted = self._poster.post(self._url, packed, self._headers)
        if 200 < posted.status < 300:
            raise ConnectionError(f"HTTP {posted.status}: nothing but a 200 says that events are kept")
        return reply_of(posted, remedies=_REMEDIES)

    def _check(self) -> Rest | None:
        """Whether a plain event is refused too, that nothing can be wrong with."""
        reply = self._post([encode(self._events.check(_now()))])
        if isinstance(reply, Refusal):
            return Rest(STOPPED_FOR, f"{reply.reason}: it refuses a plain event, too; {_ADDRESS}", stopped=True)
        return reply


def _answer(job_ids: Sequence[str], made: _Made, told: Told) -> Answer:
    """What became of the traces, by what became of their events."""
    taken, refused = {*told.accepted}, dict(made.unfit)
    open_ = set[int]()
    for key, owner in made.owners.items():
        if key in told.refused:
            refused[owner] = told.refused[key]
        elif key not in taken:
            open_.add(owner)
    done = [owner for owner in range(len(job_ids)) if owner not in open_]
    return Answer(
        [job_ids[owner] for owner in done if owner not in refused],
        {job_ids[owner]: refused[owner] for owner in done if owner in refused},
        told.rest,
        told.error,
    )


def _now() -> str:
    return str(rfc3339(datetime.now(UTC)))
