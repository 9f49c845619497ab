"""A streamed message of Anthropic's, put together again. Source: Anthropic API reference, "Streaming messages"."""

from typing import Any

import orjson

from pipelines.providers import legible
from pipelines.providers.anthropic_usage import read_usage
from pipelines.providers.assembly import MOST_PARTS, object_in, object_or_none, texts_of
from pipelines.providers.sse import ServerEvent
from synthralos.domain.deltas import Delta, ToolDelta

_TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""What a delta adds to its block, by its type: it lies under the same name in both."""

_WITH_INPUT = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


class AnthropicAssembly:
    """One message. Its usage is told twice: what is told later takes the place of the earlier, and is never added."""

    def __init__(self) -> None:
        self.broken: dict[str, Any] | None = None
        self.complete = self.over = False
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}

    @property
    def known_input(self) -> int | None:
        """See `Assembly.known_input`: told when the message starts."""
        usage = read_usage(self._message.get("usage"))
        return None if usage is None else usage.input

    def take(self, event: ServerEvent) -> Delta:
        """See `Assembly.take`."""
        data = object_in(event)
        kind = data.get("type") or event.event
        if kind == "error" or (kind == "message" and data.get("error")):
            self.broken, self.over = data, True
        elif kind == "message_start":
            self._message = dict(object_or_none(data.get("message")))
        elif kind == "content_block_start":
            return self._start(data)
        elif kind == "content_block_delta":
            return self._add(data)
        elif kind == "message_delta":
            self._end(data)
        elif kind == "message_stop":
            self.complete = self.over = True
        return Delta()

    def _start(self, data: dict[str, Any]) -> Delta:
        block = object_or_none(data.get("content_block"))
        index = self._index(data)
        if index is None:
            return Delta()
        calls = sum(found.is_call for found in self._blocks.values())
        self._blocks[index] = found = _Block(block, calls)
        text, thought = (
            texts_of(block.get(kind)) if block.get("type") == kind else "" for kind in ("text", "thinking")
        )
        if not found.is_call:
            return Delta(text, thought)
        return Delta(tools=(ToolDelta(calls, texts_of(block.get("id")) or None, texts_of(block.get("name")) or None),))

    def _add(self, data: dict[str, Any]) -> Delta:
        index, delta = self._index(data), object_or_none(data.get("delta"))
        if index is None:
            return Delta()
        block = self._blocks.setdefault(index, _Block({"type": "text"}, 0))
        kind = delta.get("type")
        if kind == "input_json_delta":
            piece = texts_of(delta.get("partial_json"))
            block.input.append(piece)
            return Delta(tools=(ToolDelta(block.number, arguments=piece),)) if piece and block.is_call else Delta()
        name = _TEXTS.get(str(kind))
        if name is None:
            return Delta()
        piece = texts_of(delta.get(name))
        block.texts.setdefault(name, []).append(piece)
        own = block.kind == name  # a signature is no text, nor is what lies in a block of another kind
        return Delta(piece if own and name == "text" else "", piece if own and name == "thinking" else "")

    def _end(self, data: dict[str, Any]) -> None:
        self._message |= {name: value for name, value in object_or_none(data.get("delta")).items() if value is not None}
        told = {name: value for name, value in object_or_none(data.get("usage")).items() if value is not None}
        self._message["usage"] = {**object_or_none(self._message.get("usage")), **told}
        self.complete = self.complete or bool(self._message.get("stop_reason"))

    @staticmethod
    def _index(data: dict[str, Any]) -> int | None:
        index = data.get("index")
        return index if type(index) is int and 0 <= index < MOST_PARTS else None

    def document(self) -> dict[str, Any]:
        """See `Assembly.document`."""
        content = [self._blocks[index].document() for index in sorted(self._blocks)]
        return {"type": "message", **self._message, "content": content}


class _Block:
    """One block of the content. `number`: how many tool calls came before it."""

    __slots__ = ("input", "kind", "number", "start", "texts")

    def __init__(self, start: dict[str, Any], number: int) -> None:
        self.start, self.number = start, number
        kind = start.get("type")
        self.kind = kind if isinstance(kind, str) else None
        self.input: list[str] = []
        self.texts: dict[str, list[str]] = {}

    @property
    def is_call(self) -> bool:
        """Whether the sender has to answer it."""
        return self.kind == "tool_use"

    def document(self) -> dict[str, Any]:
        found = dict(self.start)
        for name, pieces in self.texts.items():
            found[name] = texts_of(found.get(name)) + "".join(pieces)
        written = "".join(self.input)
        if written and self.kind in _WITH_INPUT:
            found["input"] = _input(written)
        return found


def _input(written: str) -> Any:
    """The arguments of a call; their text where the answer ended in the middle of them."""
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        found = legible.read(written.encode("utf-8", "replace"))
        return written if found is legible.UNREADABLE else legible.writable(found)
