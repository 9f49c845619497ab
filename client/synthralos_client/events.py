"""Server-sent events: reading the lines, and going on where a broken stream ended.

Source of the format: WHATWG HTML, section 9.2.6, "Interpreting an event stream". Lines end with LF or CRLF here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import httpx

from synthralos_client.config import Config
from synthralos_client.errors import ConnectError
from synthralos_client.models import Event
from synthralos_client.operations import job_path
from synthralos_client.sending import Call, Pause, backoff, error_of

SILENCE = 60.0
"""Seconds without a byte after which a stream is taken for broken; servers send a comment every 15."""

_RETRIED = frozenset({408, 429, 502, 503, 504})


class EventReader:
    """Follows one job's events over as many connections as it takes. `ended` once the last one was read."""

    def __init__(self, job_id: str, config: Config, last_event_id: str | None) -> None:
        self.ended = False
        self._job_id = job_id
        self._config = config
        self._last_id = last_event_id
        self._failures = 0
        self._fields: dict[str, str] = {}
        self._rest: list[bytes] = []

    def call(self) -> Call:
        """The request that opens the stream, or opens it again after the last event that was read."""
        return self._call(job_path(self._job_id, "events"), ())

    def _call(self, path: str, params: tuple[tuple[str, str], ...]) -> Call:
        self._fields, self._rest = {}, []
        headers: Mapping[str, str] = {"Accept": "text/event-stream"}
        if self._last_id is not None:
            headers = {**headers, "Last-Event-ID": self._last_id}
        silence = max(0.0, SILENCE - self._config.timeout)
        return Call("GET", path, params=params, headers=headers, waits=silence)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Take bytes of the stream; the events that they complete, up to the last one of the job."""
        # Not by `str.splitlines`, as httpx does it: that also cuts at U+2028 and other characters inside the data.
        first, *more = chunk.split(b"\n")
        self._rest.append(first)
        if not more:
            return  # a line may be megabytes long: it is put together once
        lines = [b"".join(self._rest), *more[:-1]]
        self._rest = [more[-1]]
        for line in lines:
            event = self._take(line.removesuffix(b"\r").decode())
            if event is not None:
                self.ended = self._ends(event)
                yield event
                if self.ended:
                    return

    @property
    def _about(self) -> str:
        return f"the event stream of job {self._job_id}"

    def _ends(self, event: Event) -> bool:
        return event.kind == "done"

    def _take(self, line: str) -> Event | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            self._fields[name] = f"{self._fields[name]}\n{value}" if name == "data" and name in self._fields else value
            return None
        fields, self._fields = self._fields, {}
        self._last_id = fields.get("id", self._last_id)
        if "id" in fields:
            self._failures = 0
        if "data" not in fields:
            return None
        self._failures = 0
        return Event(self._last_id or "", fields.get("event", "message"), json.loads(fields["data"]))

    def refused(self, response: httpx.Response) -> Pause:
        """What to do about an answer that is no stream, whose body has been read: wait, or raise its error."""
        error = error_of(response)
        if error.status not in _RETRIED:
            raise error
        return self._next_try(error, error.retry_after)

    def broken(self, error: httpx.RequestError | None) -> Pause:
        """What to do about a stream that ended too early: wait before the next connection, or raise."""
        reason = "the server closed it" if error is None else str(error) or type(error).__name__
        told = ConnectError(f"{self._about} broke: {reason}")
        told.__cause__ = error
        return self._next_try(told, None)

    def _next_try(self, error: Exception, asked: float | None) -> Pause:
        self._failures += 1
        if self._failures > self._config.max_retries:
            raise error
        return Pause(backoff(self._failures - 1) if asked is None else asked)
