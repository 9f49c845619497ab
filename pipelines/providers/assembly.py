"""What all streamed answers share: events become deltas at once, and in the end the document that came in pieces.

That document is the one that the same API gives when nothing is streamed. So one decoder reads both, and what is
streamed means exactly what the whole answer would have meant.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from pipelines.providers import legible
from pipelines.providers.sse import ServerEvent
from pipelines.tokens import TokenCounter, prompt_texts
from synthralos.domain.deltas import Delta
from synthralos.domain.jobs import Request
from synthralos.domain.money import Usage


class Unreadable(Exception):
    """An event holds no JSON object, in any reading."""


class Assembly(Protocol):
    """Puts one streamed answer together."""

    @property
    def complete(self) -> bool:
        """Whether the provider said how the answer ended: what is missing then is nobody's loss."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing that counts can follow: the provider's last word, or its error."""
        ...

    @property
    def broken(self) -> dict[str, Any] | None:
        """The document of an error that came in the middle, as the provider wrote it."""
        ...

    @property
    def known_input(self) -> int | None:
        """The tokens of the prompt, where the provider has told them before the answer's end."""
        ...

    def take(self, event: ServerEvent) -> Delta:
        """What an event adds; raises `Unreadable`."""
        ...

    def document(self) -> dict[str, Any]:
        """The answer as far as it came, in the form that is not streamed."""
        ...


def object_in(event: ServerEvent) -> dict[str, Any]:
    """The JSON object of an event's data; raises `Unreadable`."""
    try:
        found = orjson.loads(event.data)
    except orjson.JSONDecodeError:
        found = legible.writable(legible.read(event.data.encode("utf-8", "replace")))
    if not isinstance(found, dict):
        raise Unreadable
    return found


def texts_of(value: object) -> str:
    """A piece of text; nothing where it is none."""
    return value if isinstance(value, str) else ""


def object_or_none(value: object) -> dict[str, Any]:
    """An object; an empty one where it is none."""
    return value if isinstance(value, dict) else {}


def index_in(value: object, default: int) -> int:
    """The place of something in a list; `default` where none is given that can be one."""
    return value if type(value) is int and 0 <= value < MOST_PARTS else default


MOST_PARTS = 4_096
"""Tool calls, or blocks, that one answer may have."""


def estimated_usage(request: Request, said: Iterable[str], known_input: int | None) -> Usage:
    """The tokens of a call whose answer was cut: of the prompt, where the provider did not say, and of what it `said`.

    Counted here, with OpenAI's newest encoding: an estimate for every provider, and one that is marked as such.
    """
    counter = TokenCounter()
    asked = counter.count(prompt_texts(request)) if known_input is None else known_input
    return Usage(asked, counter.count(["".join(said)]) - counter.count([""]))
