"""The channel of webhooks: an event becomes a signed request, and an answer becomes what the delivery knows."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from pipelines.providers.transport.protocol import Answer, Result
from scheduler.webhooks.post import Poster
from synthralos.domain.delivering import (
    LONGEST_PAUSE,
    MOST_ANSWER,
    Delivered,
    Outcome,
    Refused,
    Sending,
    Target,
    TryAgain,
)
from synthralos.domain.feed import END, Item
from synthralos.domain.retry_after import retry_after
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import TERMINAL
from synthralos.domain.webhooks import CHANNEL, MOST_CONTENT, Endpoint, body_of, signature, signing, wants_content
from synthralos.store.admin.webhooks import Webhooks
from synthralos.store.read.jobs import Reader
from synthralos.store.sql.database import Database

log = logging.getLogger(__name__)

_GONE = 410
_ENDS = frozenset(END + state for state in TERMINAL)


class WebhookChannel:
    """Delivers to webhook endpoints; see `synthralos.domain.delivering.Channel`."""

    name = CHANNEL

    def __init__(
        self, database: Database, poster: Poster, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._webhooks = Webhooks(database)
        self._reader = Reader(database)
        self._poster = poster
        self._clock = clock

    def targets(self) -> Sequence[Target]:
        """The endpoints that are enabled."""
        return [Target(each.id, each.organization, frozenset(each.types)) for each in self._webhooks.enabled()]

    def deliver(self, sending: Sending) -> Outcome:
        """Send the event to its endpoint as it is now."""
        stored = self._webhooks.get(sending.target.id, EVERYTHING)
        if stored is None or not stored.endpoint.enabled:
            return TryAgain("the endpoint is disabled")
        endpoint, event = stored.endpoint, sending.event
        if not endpoint.takes(event.type):
            return Delivered(answer="not sent: the form of the endpoint has no such event")
        body = body_of(endpoint, event, self._content(endpoint, event))
        now = self._clock()
        timestamp = int(now.timestamp())
        headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", "SynthralOS-Webhooks/1"),
            ("webhook-id", event.id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", signature(signing(endpoint.secrets, now), event.id, timestamp, body)),
        ]
        try:
            return outcome_of(self._poster.post(endpoint.url, headers, body))
        except (ValueError, TimeoutError) as error:
            return TryAgain(str(error) or "no answer in time")

    def disable(self, target_id: str, reason: str) -> None:
        """Send nothing there any more, and tell."""
        if self._webhooks.disable(target_id, reason):
            log.warning("webhook endpoint %s is disabled: %s", target_id, reason)

    def _content(self, endpoint: Endpoint, event: Item) -> Mapping[str, Any] | None:
        """The request and the result of a job that ended, where the endpoint asked for them and may have them."""
        if event.job_id is None or event.type not in _ENDS or not wants_content(endpoint, event):
            return None
        row = self._reader.jobs([event.job_id], EVERYTHING).get(event.job_id)
        if row is None:
            return None
        content = {"request": row["request"], "result": row["result"], "failure": row["failure"]}
        size = len(orjson.dumps(content, default=str))
        return content if size <= MOST_CONTENT else {"omitted": f"{size} bytes are more than {MOST_CONTENT}"}


def outcome_of(result: Result) -> Outcome:
    """What an answer means for the delivery: 2xx takes the event, 410 wants none any more, all else may change."""
    if not isinstance(result, Answer):
        if result.status is not None and 200 <= result.status < 300:
            return Delivered(result.status)
        return TryAgain(result.message, status=result.status)
    said = result.body[: 4 * MOST_ANSWER].decode(errors="replace")[:MOST_ANSWER]
    if 200 <= result.status < 300:
        return Delivered(result.status, said)
    if result.status == _GONE:
        return Refused("it answered 410: it wants no events any more", result.status, said, gone=True)
    if 300 <= result.status < 400:
        return TryAgain("it redirects, and redirects are not followed", None, result.status, said)
    return TryAgain(f"it answered {result.status}", _asked(result), result.status, said)


def _asked(answer: Answer) -> float | None:
    """Seconds that the endpoint asks for."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers.items()}
    asked = retry_after(headers, datetime.now(UTC))
    return None if asked is None else min(asked, LONGEST_PAUSE)
