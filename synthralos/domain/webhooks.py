"""Webhooks by the Standard Webhooks specification: endpoints, secrets, signatures, and what is sent.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from synthralos.domain.feed import Item, bare, without_content
from synthralos.domain.residency import kept_from

CHANNEL = "webhook"
PREFIX = "whsec_"
TEST = "webhook.test"
"""The type of an event that somebody sends to try an endpoint."""

NEVER_SENT = ("webhook.", "delivery.")
"""Beginnings of types that tell of deliveries themselves: one that fails would make the next."""

MOST_SECRETS = 5
MOST_CONTENT = 256 * 1024
"""Bytes of a job's request and result that are sent along at most."""


class Form(StrEnum):
    """In which form events are sent. `openai`: the ends of jobs alone, as OpenAI's SDKs know them."""

    SYNTHRALOS = "synthralos"
    OPENAI = "openai"


OPENAI_TYPES: Mapping[str, str] = {
    "job.succeeded": "response.completed",
    "job.failed": "response.failed",
    "job.denied": "response.failed",
    "job.expired": "response.failed",
    "job.cancelled": "response.cancelled",
}
"""What OpenAI's SDKs call the ends of jobs."""


class Secret(NamedTuple):
    """One that signs, until that time where one is given."""

    secret: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent, and which. Its secrets are in no representation of it."""

    id: str
    organization: str | None
    url: str
    description: str = ""
    types: tuple[str, ...] = ()
    enabled: bool = True
    content: bool = False
    residency: str | None = None
    form: Form = Form.SYNTHRALOS
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    disabled_because: str | None = None
    version: int = 1

    def takes(self, type_: str) -> bool:
        """Whether events of that type can be sent in its form at all."""
        return self.form is Form.SYNTHRALOS or type_ in OPENAI_TYPES or type_ == TEST


def new_secret() -> str:
    """A secret of 32 random bytes in the form of the specification."""
    return PREFIX + base64.b64encode(os.urandom(32)).decode()


def signing(secrets: Sequence[Secret], now: datetime) -> list[str]:
    """Those that sign at that time."""
    return [each.secret for each in secrets if each.until is None or each.until > now]


def signature(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret."""
    signed = b"%s.%d.%s" % (event_id.encode(), timestamp, body)
    keys = [base64.b64decode(secret.removeprefix(PREFIX)) for secret in secrets]
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)


def wants_content(endpoint: Endpoint, event: Item) -> bool:
    """Whether the endpoint asked for content, and may have that of this job."""
    return endpoint.content and kept_from(event.classification, endpoint.residency) is None


def body_of(endpoint: Endpoint, event: Item, content: Mapping[str, Any] | None = None) -> bytes:
    """What is sent. `content`: the job's request and result, where the endpoint asked for them and may have them."""
    if endpoint.form is Form.OPENAI:
        type_, data = OPENAI_TYPES.get(event.type, event.type), {"id": event.job_id or event.id}
        said: dict[str, Any] = {"id": event.id, "object": "event", "created_at": int(event.at.timestamp())}
        return orjson.dumps({**said, "type": type_, "data": data})
    whole = event.to_json()
    document = {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "timestamp": whole["at"],
        "created_at": int(event.at.timestamp()),
        **whole,
        "data": _data(endpoint, event, content),
    }
    if kept_from(event.classification, endpoint.residency) is not None:
        document |= {"user": None, "subject": None, "actor": ""}
    return orjson.dumps(document)


def _data(endpoint: Endpoint, event: Item, content: Mapping[str, Any] | None) -> dict[str, Any]:
    if kept_from(event.classification, endpoint.residency) is not None:
        return bare(event)
    if not endpoint.content:
        return without_content(event)
    return {**event.data, **({} if content is None else {"content": dict(content)})}
