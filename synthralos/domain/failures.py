"""Failures: what can go wrong with a call, as one closed list. What to do about each is heal's table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from synthralos.domain.money import Usage
from synthralos.domain.quota_units import Left


class FailureClass(StrEnum):
    """Why an attempt (or a stage) failed."""

    RATE_LIMITED = "rate_limited"
    NO_CAPACITY = "no_capacity"
    QUOTA_EXHAUSTED = "quota_exhausted"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER_ERROR = "server_error"
    CREDENTIAL = "credential"
    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTERED = "content_filtered"
    SCHEMA_MISMATCH = "schema_mismatch"
    BUDGET = "budget"
    AMBIGUOUS = "ambiguous"
    INTERNAL = "internal"


MEANINGS: Mapping[FailureClass, str] = {
    FailureClass.RATE_LIMITED: "the provider's limit of requests or tokens in a time was reached",
    FailureClass.NO_CAPACITY: "the service tier that was asked for has no room now; nothing was billed",
    FailureClass.QUOTA_EXHAUSTED: "the account has no money, credit or quota left: waiting does not bring it back",
    FailureClass.OVERLOADED: "the provider, or this model there, has too much to do",
    FailureClass.TIMEOUT: "the answer did not come in time, after the request was sent",
    FailureClass.CONNECTION: "the server was not reached: nothing was sent",
    FailureClass.SERVER_ERROR: "the provider says that the fault is its own (5xx)",
    FailureClass.CREDENTIAL: "the key is missing, wrong, or may not do this",
    FailureClass.INVALID_REQUEST: "the request is wrong everywhere, or no deployment may do the job",
    FailureClass.UNSUPPORTED: "this deployment has or takes not what was asked for; another one may",
    FailureClass.CONTEXT_LENGTH: "the prompt is too long for the window",
    FailureClass.CONTENT_FILTERED: "the provider's filter stopped the prompt or the answer",
    FailureClass.SCHEMA_MISMATCH: "the answer does not have the form that was asked for",
    FailureClass.BUDGET: "the call would cost more than is allowed",
    FailureClass.AMBIGUOUS: "the connection was lost after the request was sent: nobody knows what became of it",
    FailureClass.INTERNAL: "a fault of ours, or of what we run on",
}
"""What each class says, in the order of the documentation."""

MAYBE_BILLED = frozenset({FailureClass.TIMEOUT, FailureClass.AMBIGUOUS})
"""The request had been sent and no answer was read: the provider may have done, and billed, the work."""

UPSTREAM = frozenset(
    {
        FailureClass.OVERLOADED,
        FailureClass.SERVER_ERROR,
        FailureClass.CONNECTION,
        FailureClass.TIMEOUT,
        FailureClass.AMBIGUOUS,
    }
)
"""What is held against a deployment. Not limits, keys, wrong requests or filtered content: those it has answered."""

ANSWERED = frozenset({FailureClass.SCHEMA_MISMATCH})
"""The whole answer was read, and is billed, although it brought no result."""


class Rejected(NamedTuple):
    """An answer that cannot be used, shortened, and what is wrong with it. It is in memory alone."""

    text: str
    problem: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One classified error.

    `message` is for people and holds no secret. `retry_after` is in seconds, as the provider asked.
    `http_status` and `provider_code` are the provider's own words, where there were any. `usage` is what
    the provider billed although it brought no result (a filtered answer); it belongs to the books of the
    attempt, not to the stored form of the failure. `estimated`: the usage was counted here, of an answer that was cut,
    and nobody knows what the provider billed. `limits` are what the answer says is left of the quota.
    `rejected` is the answer that is none: it is neither stored nor shown.
    """

    failure_class: FailureClass
    message: str
    retry_after: float | None = None
    http_status: int | None = None
    provider_code: str | None = None
    usage: Usage | None = field(default=None, compare=False)
    estimated: bool = field(default=False, compare=False)
    limits: tuple[Left, ...] = field(default=(), compare=False)
    rejected: Rejected | None = field(default=None, compare=False, repr=False)

    @property
    def maybe_billed(self) -> bool:
        """Whether the provider may have billed the call although it brought no result."""
        return self.failure_class in MAYBE_BILLED

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            "class": str(self.failure_class),
            "message": self.message,
            "retry_after": self.retry_after,
            "http_status": self.http_status,
            "provider_code": self.provider_code,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Failure":
        """The inverse of `to_json`."""
        return cls(
            FailureClass(data["class"]),
            data["message"],
            data.get("retry_after"),
            data.get("http_status"),
            data.get("provider_code"),
        )
