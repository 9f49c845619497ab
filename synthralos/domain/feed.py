"""The feed: everything that happens, in one form and one order, from wherever it is on record.

It has three sources, each with an order of its own in which nothing appears later before what was read: the events of
jobs, happenings beside jobs, and the ends of jobs. A cursor is a place in each of them.
"""

import base64
import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from synthralos.domain.scope import EVERYTHING, Scope

FIRST_ID = "00000000-0000-0000-0000-000000000000"
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

_FORM = struct.Struct(">Bqq16sq16sq")
_VERSION = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Place(NamedTuple):
    """How far one source was read: up to the row of that number and id. The ends of jobs have a number alone."""

    number: int = 0
    id: str = FIRST_ID


class Cursor(NamedTuple):
    """How far the feed was read. `at`: when what was read last happened; so it says how old the cursor is."""

    at: datetime
    events: Place = Place()
    happenings: Place = Place()
    ends: Place = Place()

    def encode(self) -> str:
        """As it is shown: opaque, of letters, digits, `-` and `_`."""
        moment = (self.at - _EPOCH) // _MICROSECOND
        packed = _FORM.pack(
            _VERSION, moment, self.events.number, uuid.UUID(self.events.id).bytes,
            self.happenings.number, uuid.UUID(self.happenings.id).bytes, self.ends.number,
        )  # fmt: skip
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """The inverse; raises `ValueError` for what is no cursor."""
        try:
            packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            version, moment, event, event_id, happening, happening_id, end = _FORM.unpack(packed)
            if version != _VERSION or min(event, happening, end) < 0:
                raise ValueError
            at = _EPOCH + moment * _MICROSECOND
        except (ValueError, struct.error, OverflowError):
            raise ValueError("not a cursor of the feed") from None
        events, happenings = Place(event, str(uuid.UUID(bytes=event_id))), str(uuid.UUID(bytes=happening_id))
        return cls(at, events, Place(happening, happenings), Place(end))


@dataclass(frozen=True, slots=True)
class Item:
    """Something that happened.

    `organization` None: it concerns the installation. `job_id`, `run_id`, `workspace` and `user` are those of the job,
    where it is one's. `subject` is what it is about otherwise, such as a breaker's name. `classification` is the class
    of the job's data. `cursor` leads on from here.
    """

    id: str
    type: str
    at: datetime
    organization: str | None
    actor: str
    data: Mapping[str, Any]
    job_id: str | None = None
    subject: str | None = None
    workspace: str | None = None
    user: str | None = None
    run_id: str | None = None
    classification: str | None = None
    cursor: Cursor = Cursor(_EPOCH)  # noqa: RUF009 - immutable

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "id": self.id,
            "type": self.type,
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z",
            "organization": self.organization,
            "workspace": self.workspace,
            "user": self.user,
            "job_id": self.job_id,
            "run_id": self.run_id,
            "subject": self.subject,
            "actor": self.actor,
            "data": dict(self.data),
        }


def item_of(stored: Mapping[str, Any]) -> Item:
    """The inverse of `to_json`, with its `classification` beside it; its cursor leads nowhere."""
    return Item(**{**stored, "at": datetime.fromisoformat(stored["at"])})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which items: all conditions that are given have to hold.

    `types` are whole types, or beginnings such as `job.*`; none: all. `installation`: what concerns no organization,
    too; it needs a scope that is not restricted. `organization`: what concerns that one alone.
    """

    scope: Scope = EVERYTHING
    types: frozenset[str] = frozenset()
    job_id: str | None = None
    run_id: str | None = None
    installation: bool = False
    organization: str | None = None

    def admits(self, item: Item) -> bool:
        """Whether the item is wanted and may be seen."""
        return (
            self._sees(item)
            and self.organization in (None, item.organization)
            and self.job_id in (None, item.job_id)
            and self.run_id in (None, item.run_id)
            and (not self.types or any(matches(pattern, item.type) for pattern in self.types))
        )

    def _sees(self, item: Item) -> bool:
        if item.organization is None:
            return self.installation and self.scope == EVERYTHING
        if item.job_id is None:
            # What concerns an organization as a whole is not for who is bound to a part of it.
            part = self.scope.workspace is not None or self.scope.user is not None
            return not part and self.scope.organization in (None, item.organization)
        return self.scope.admits(item.organization, item.workspace or "", item.user)


def matches(pattern: str, type_: str) -> bool:
    """Whether a type is the pattern's, which is a type or a beginning such as `job.*`."""
    return type_.startswith(pattern[:-1]) if pattern.endswith(".*") else type_ == pattern


@dataclass(frozen=True, slots=True)
class Page:
    """Items in their order. `cursor` leads on from the last that was looked at; `more`: at once."""

    items: list[Item] = field(default_factory=list)
    cursor: Cursor = Cursor(_EPOCH)  # noqa: RUF009 - immutable
    more: bool = False


TYPES: Mapping[str, str] = {
    "healed": "job.healed", "cancel": "job.called_off", "retry": "job.retried", "reroute": "job.rerouted",
    "lost": "job.lost", "isolated": "job.isolated", "buried": "job.buried", "thought": "job.thought",
    "schedule_paused": "schedule.paused",
}  # fmt: skip
"""Types of events whose kinds have other names; all others have the name of their kind."""

END = "job."
"""What the type of a job's end begins with; its state follows."""

CONTENT: Mapping[str, tuple[str, ...]] = {
    "job.thought": ("text",),
    "job.called_off": ("reason",),
    "job.retried": ("reason",),
    "job.rerouted": ("reason", "changes"),
    "wait.opened": ("prompt",),
    "wait.answered": ("answer", "comment"),
}
"""Members of `data` that people or models wrote: what goes to nobody who did not ask for content."""


def type_of(kind: str) -> str:
    """The type of an event or happening of that kind."""
    return TYPES.get(kind, kind)


def end_id(job_id: str, finished_at: datetime) -> str:
    """The id of a job's end: always the same, and another one for each end that the job has."""
    return str(uuid.uuid5(uuid.UUID(job_id), finished_at.astimezone(UTC).isoformat(timespec="microseconds")))


def without_content(item: Item) -> dict[str, Any]:
    """The item's data without what people, models or providers wrote."""
    data = {name: value for name, value in item.data.items() if name not in CONTENT.get(item.type, ())}
    failure = data.get("failure")
    return {**data, "failure": {**failure, "message": ""}} if isinstance(failure, Mapping) else data


def bare(item: Item) -> dict[str, Any]:
    """The item's data where even figures may not be told: the state alone."""
    return {name: item.data[name] for name in ("state",) if name in item.data}
