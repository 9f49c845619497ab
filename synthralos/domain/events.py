"""Events: what happens to a job besides its spans."""

from dataclasses import dataclass, field
from typing import Any

from synthralos.domain.ids import new_id


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job besides its spans: `kind` is a word, `actor` who did it."""

    kind: str
    actor: str = "system"
    data: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=new_id)
