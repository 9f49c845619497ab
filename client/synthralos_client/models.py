"""What the server answers, as small immutable objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

Json = dict[str, Any]

TERMINAL = frozenset({"succeeded", "denied", "failed", "cancelled", "expired"})
"""The states that a job does not leave, except by an explicit retry or reroute."""


@dataclass(frozen=True)
class Failure:
    """Why a job failed: `kind` is one of the failure classes, `message` is for people."""

    kind: str
    message: str


@dataclass(frozen=True)
class Job:
    """A job as the server showed it; `raw` is the whole answer.

    `state` is empty where a submission was repeated and its job is no longer kept.
    `cost` is in USD, exact: the sum of what is known. `cost_known` is false while a part of it is not.
    `text` is the answer: None before the job succeeded, and in listings. `embeddings` are the vectors of an embedding
    job, one for each input. `attempts` counts provider calls.
    """

    id: str
    state: str
    trace_id: str
    text: str | None = None
    embeddings: list[list[float]] | list[str] | None = None
    cost: Decimal = Decimal(0)
    cost_known: bool = True
    attempts: int = 0
    failure: Failure | None = None
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @property
    def done(self) -> bool:
        """Whether it is in a terminal state."""
        return self.state in TERMINAL

    @property
    def succeeded(self) -> bool:
        """Whether it has a result."""
        return self.state == "succeeded"

    @property
    def created_at(self) -> datetime | None:
        """When the server accepted it; None where the answer did not say."""
        return parse_time(self.raw.get("created_at"))

    @property
    def finished_at(self) -> datetime | None:
        """When it reached its terminal state; None before."""
        return parse_time(self.raw.get("finished_at"))

    @classmethod
    def from_json(cls, data: Json) -> Job:
        """A job from the server's JSON, be it a submission's receipt, a listing's row or a full view."""
        cost = data.get("cost") or {}
        result = data.get("result") or {}
        return cls(
            id=data["id"],
            state=data["state"] or "",
            trace_id=data.get("trace_id") or "",
            text=result.get("text"),
            embeddings=result.get("embeddings"),
            cost=Decimal(str(cost.get("usd") or 0)),
            cost_known=bool(cost.get("known", True)),
            attempts=int(data.get("attempts") or 0),
            failure=_failure(data.get("failure")),
            raw=data,
        )


@dataclass(frozen=True)
class Event:
    """One entry of a job's event stream: `kind` is `state`, `span`, `attempt`, `event` or `done`.

    A streamed job has `delta` and `restarted`, too.
    """

    id: str
    kind: str
    data: Json


@dataclass(frozen=True)
class BulkResult:
    """What became of one job of a bulk operation.

    `outcome` is `done`, `refused` or `not_found`; `state` is the one that the job is in now, None where it was not
    found; `detail` says why it was not done.
    """

    id: str
    outcome: str
    state: str | None
    detail: str | None

    @property
    def done(self) -> bool:
        """Whether the operation was done to this job."""
        return self.outcome == "done"

    @classmethod
    def from_json(cls, data: Json) -> BulkResult:
        """One element of a bulk report."""
        return cls(data["id"], data["outcome"], data.get("state"), data.get("detail"))


@dataclass(frozen=True)
class Key:
    """An API key; `raw` is the whole answer. A tenant field that is None does not narrow the key.

    `secret` is the key itself: there only in the answers that make one, which is the only time that it is shown.
    """

    id: str
    name: str
    prefix: str
    role: str
    organization: str | None = None
    workspace: str | None = None
    user: str | None = None
    account_plan: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    secret: str | None = field(default=None, repr=False)
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Json) -> Key:
        """A key from the server's JSON, be it a listing's row or a new one."""
        return cls(
            id=data["id"],
            name=data["name"],
            prefix=data["prefix"],
            role=data["role"],
            organization=data.get("organization"),
            workspace=data.get("workspace"),
            user=data.get("user"),
            account_plan=data.get("account_plan"),
            created_at=parse_time(data.get("created_at")),
            expires_at=parse_time(data.get("expires_at")),
            last_used_at=parse_time(data.get("last_used_at")),
            revoked_at=parse_time(data.get("revoked_at")),
            secret=data.get("key"),
            raw=data,
        )


@dataclass(frozen=True)
class Organization:
    """An organization and the account plan that it is on."""

    name: str
    account_plan: str
    created_at: datetime | None = None

    @classmethod
    def from_json(cls, data: Json) -> Organization:
        """An organization from the server's JSON."""
        return cls(data["name"], data["account_plan"], parse_time(data.get("created_at")))


@dataclass(frozen=True)
class Health:
    """What `/health/ready` says. `raw` has the checks one by one."""

    ready: bool
    status: str
    raw: Json = field(default_factory=dict, compare=False)


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time as the server writes it (Python 3.10 does not read the `Z`)."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if isinstance(text, str) else None


def _failure(data: Mapping[str, Any] | None) -> Failure | None:
    return None if data is None else Failure(str(data.get("class", "")), str(data.get("message", "")))
