"""A streamed response of OpenAI's Responses API, put together again.

The last event holds the whole response; what came before is kept for a stream that breaks off.
Source: OpenAI API reference, "Streaming events".
"""

from typing import Any

from pipelines.providers.assembly import MOST_PARTS, index_in, object_in, object_or_none, texts_of
from pipelines.providers.sse import ServerEvent
from synthralos.domain.deltas import Delta, ToolDelta

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesAssembly:
    """One response."""

    known_input: int | None = None
    """Told with the last event alone."""

    def __init__(self) -> None:
        self.broken: dict[str, Any] | None = None
        self.complete = self.over = False
        self._document: dict[str, Any] = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._calls: dict[int, int] = {}
        self._arguments: set[int] = set()
        self._thought_at: tuple[object, object] | None = None

    def take(self, event: ServerEvent) -> Delta:
        """See `Assembly.take`."""
        found = object_in(event)
        kind = texts_of(found.get("type")) or event.event
        if kind == "error" or (found.get("error") and not found.get("response")):
            self.broken, self.over = {"error": found.get("error") or found}, True
        elif kind in _ENDS:
            self._document = object_or_none(found.get("response"))
            self.complete = self.over = True
        elif kind in ("response.created", "response.in_progress"):
            self._document = object_or_none(found.get("response"))
        elif kind in ("response.output_text.delta", "response.refusal.delta"):
            return Delta(texts_of(found.get("delta")))
        elif kind == "response.reasoning_summary_text.delta":
            return Delta("", self._thought(found))
        elif kind == "response.output_item.added":
            return self._item(found, done=False)
        elif kind == "response.output_item.done":
            return self._item(found, done=True)
        elif kind == "response.function_call_arguments.delta":
            return self._more_arguments(found)
        return Delta()

    def _thought(self, found: dict[str, Any]) -> str:
        """A piece of the thoughts: their parts stand apart, as in the whole response."""
        at = found.get("output_index"), found.get("summary_index")
        apart = "\n\n" if self._thought_at not in (None, at) else ""
        self._thought_at = at
        return apart + texts_of(found.get("delta"))

    def _item(self, found: dict[str, Any], *, done: bool) -> Delta:
        place, item = index_in(found.get("output_index"), len(self._items)), object_or_none(found.get("item"))
        if place not in self._items and len(self._items) >= MOST_PARTS:
            return Delta()
        self._items[place] = item
        if item.get("type") != "function_call":
            return Delta()
        new = place not in self._calls
        number = self._calls.setdefault(place, len(self._calls))
        arguments = "" if place in self._arguments else texts_of(item.get("arguments"))
        if not new and not (done and arguments):
            return Delta()
        if arguments:
            self._arguments.add(place)
        identity, name = (texts_of(item.get(member)) or None if new else None for member in ("call_id", "name"))
        return Delta("", "", (ToolDelta(number, identity, name, arguments),))

    def _more_arguments(self, found: dict[str, Any]) -> Delta:
        place, piece = index_in(found.get("output_index"), -1), texts_of(found.get("delta"))
        if place not in self._calls or not piece:
            return Delta()
        self._arguments.add(place)
        return Delta("", "", (ToolDelta(self._calls[place], None, None, piece),))

    def document(self) -> dict[str, Any]:
        """See `Assembly.document`."""
        items = [self._items[place] for place in sorted(self._items)]
        return {**self._document, "output": self._document.get("output") or items}
