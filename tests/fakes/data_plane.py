"""A data plane of RudderStack: takes `/v1/batch` as the real one does, and misbehaves where a test wants it to.

What it checks, in that order, and what it answers are those of rudder-server's gateway. Of events with the same
`messageId` it keeps the first. It is a real HTTP server, that gets to see real bytes.
"""

import base64
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.fakes.scripted_server import DROPPED, Answer, Asked, ScriptedServer

WRITE_KEY = "2Vw1write0key2canary"
MOST_REQUEST = 4_000 * 1024
MOST_EVENT = 32 * 1024

Event = dict[str, Any]
Whim = Callable[[Sequence[Event]], Answer | None]
"""An answer instead of the usual one, before anything is kept; None: the usual one."""


def message(status: int, text: str, **headers: str) -> Answer:
    """As the gateway refuses: plain text, without a `code`."""
    return Answer(status, text.encode(), {"Content-Type": "text/plain", **headers})


def poisoned_by(is_bad: Callable[[Event], bool]) -> Whim:
    """400 for every request that has a bad event in it."""
    return lambda events: message(400, "event is not a valid rudder event") if any(map(is_bad, events)) else None


class DataPlane:
    """`kept`: events by message id; `seen`: how often each was accepted; `requests`: the sizes of what came."""

    def __init__(self, server: ScriptedServer) -> None:
        self.url = server.url
        self.asked = server.asked
        self.kept: dict[str, Event] = {}
        self.seen: list[Event] = []
        self.requests: list[int] = []
        self.whim: Whim = lambda events: None
        self.cut_after_accepting = 0
        self.enabled = True
        self.most_request = MOST_REQUEST
        self._arrived = threading.Condition()
        server.script = self._answer

    def until(self, ready: Callable[[], bool], timeout: float = 30) -> None:
        """Wait until that is so; looked at after each request."""
        with self._arrived:
            assert self._arrived.wait_for(ready, timeout), "it has not come about"

    def named(self, name: str) -> list[Event]:
        """The kept events of that name."""
        return [event for event in self.kept.values() if event.get("event") == name]

    def jobs(self) -> set[str]:
        """The jobs of whose end it knows."""
        return {event["properties"]["job_id"] for event in self.named("Job Ended")}

    def _answer(self, asked: Asked) -> Answer:
        with self._arrived:
            answer = self._judged(asked)
            self._arrived.notify_all()
            return answer

    def _judged(self, asked: Asked) -> Answer:
        if (asked.method, asked.path) != ("POST", "/v1/batch"):
            return message(404, "404 page not found")
        if asked.headers.get("authorization") != "Basic " + base64.b64encode(f"{WRITE_KEY}:".encode()).decode():
            return message(401, "invalid write key")
        if not self.enabled:
            return message(404, "source is disabled")
        raw = gzip.decompress(asked.body) if asked.headers.get("content-encoding") == "gzip" else asked.body
        try:
            batch: list[Event] = json.loads(raw)["batch"]
        except ValueError:
            return message(400, "invalid json")
        self.requests.append(len(batch))
        if (answer := self.whim(batch)) is not None:
            return answer
        if not batch:
            return message(400, "empty batch payload")
        if not all(isinstance(event, dict) for event in batch):
            return message(400, "event is not a valid rudder event")
        if not all(str(event.get("userId") or event.get("anonymousId") or "").strip() for event in batch):
            return message(400, "request neither has anonymousId nor userId")
        if len(raw) > self.most_request or any(len(json.dumps(event)) > MOST_EVENT for event in batch):
            return message(413, "request size exceeds max limit")
        for event in batch:
            self.kept.setdefault(event["messageId"].strip(), event)
        self.seen += batch
        if self.cut_after_accepting:
            self.cut_after_accepting -= 1
            return DROPPED
        return Answer(200, b"OK", {"Content-Type": "text/plain"})


@contextmanager
def data_plane() -> Iterator[DataPlane]:
    with ScriptedServer().running() as server:
        yield DataPlane(server)
