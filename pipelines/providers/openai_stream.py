"""A streamed chat completion, put together again.

Source: OpenAI API reference, "The chat completion chunk object"; what others make of it: `openai_answer`.
"""

from typing import Any

from pipelines.providers.assembly import index_in, object_in, object_or_none, texts_of
from pipelines.providers.sse import ServerEvent
from synthralos.domain.deltas import Delta, ToolDelta

LAST_WORD = "[DONE]"

_OF_THE_ANSWER = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
_REASONING = ("reasoning_content", "reasoning", "thinking")
_PARTS_OF_THOUGHT = frozenset({"reasoning", "thinking"})


class OpenAIAssembly:
    """The first choice of a completion; a job has one answer."""

    known_input: int | None = None
    """Told with the last chunk alone."""

    def __init__(self) -> None:
        self.broken: dict[str, Any] | None = None
        self.complete = self.over = False
        self._document: dict[str, Any] = {}
        self._choice: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._parts: list[Any] = []
        self._calls: dict[int, _Call] = {}
        self._last_call = 0

    def take(self, event: ServerEvent) -> Delta:
        """See `Assembly.take`."""
        if event.data.strip() == LAST_WORD:
            self.complete = self.over = True
            return Delta()
        chunk = object_in(event)
        if chunk.get("error"):
            self.broken, self.over = chunk, True
            return Delta()
        self._document |= {name: chunk[name] for name in _OF_THE_ANSWER if chunk.get(name)}
        self._document |= {name: chunk[name] for name in ("usage", "x_groq") if isinstance(chunk.get(name), dict)}
        choices = chunk.get("choices")
        return Delta() if not isinstance(choices, list) or not choices else self._take_choice(choices)

    def _take_choice(self, choices: list[Any]) -> Delta:
        choice = next((c for c in map(object_or_none, choices) if c and not c.get("index")), None)
        if choice is None:
            return Delta()
        if choice.get("error"):
            self.broken, self.over = {"error": choice["error"]}, True
            return Delta()
        self._choice |= {name: choice[name] for name in ("finish_reason", "usage") if choice.get(name)}
        self.complete = self.complete or "finish_reason" in self._choice
        said = choice.get("delta") or choice.get("message")
        if not isinstance(said, dict):
            said = {"content": choice.get("text")}
        return self._take_delta(said)

    def _take_delta(self, said: dict[str, Any]) -> Delta:
        content = said.get("content")
        text, thought = self._take_parts(content) if isinstance(content, list) else (self._add("content", content), "")
        text += self._add("refusal", said.get("refusal"))
        name = next((name for name in _REASONING if isinstance(said.get(name), str) and said[name]), None)
        if name is not None:
            # Some servers say the same under two names: one of them is kept, the first that came.
            kept = next((name for name in _REASONING if name in self._texts), name)
            thought += self._add(kept, said.get(kept, said[name]))
        calls = said.get("tool_calls")
        if not calls and isinstance(said.get("function_call"), dict):
            calls = [{"index": 0, "function": said["function_call"]}]
        found = [self._take_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        return Delta(text, thought, tuple(found))

    def _add(self, name: str, value: object) -> str:
        text = texts_of(value)
        if text:
            self._texts.setdefault(name, []).append(text)
        return text

    def _take_parts(self, parts: list[Any]) -> tuple[str, str]:
        """Content in parts, as some servers give it beside their thoughts: what is new of both."""
        said: list[str] = []
        thought: list[str] = []
        for part in parts:
            kind = object_or_none(part).get("type")
            text = texts_of(part) or "".join(_texts_in(part))
            (thought if kind in _PARTS_OF_THOUGHT else said).append(text)
        self._add("content", "".join(said))
        self._add(_REASONING[0], "".join(thought))
        return "".join(said), "".join(thought)

    def _take_call(self, piece: dict[str, Any]) -> ToolDelta:
        default = self._last_call
        if piece.get("id") and self._calls and default in self._calls and self._calls[default].id != piece["id"]:
            default += 1  # a server that numbers none of its calls
        index = self._last_call = index_in(piece.get("index"), default)
        call, function = self._calls.setdefault(index, _Call()), object_or_none(piece.get("function"))
        new_id = texts_of(piece.get("id")) if not call.id else ""
        new_name = texts_of(function.get("name"))
        call.id = call.id or new_id
        if new_name != call.name:  # some repeat it with each piece
            call.name += new_name
        else:
            new_name = ""
        call.others |= {name: piece[name] for name in piece if name not in ("index", "id", "type", "function")}
        arguments = texts_of(function.get("arguments"))
        call.arguments.append(arguments)
        return ToolDelta(index, new_id or None, new_name or None, arguments)

    def document(self) -> dict[str, Any]:
        """See `Assembly.document`."""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(texts) for name, texts in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [self._calls[index].document() for index in sorted(self._calls)]
        elif message["content"] is None and "refusal" not in message:
            message["content"] = ""
        choice = {"index": 0, "message": message, "finish_reason": None, **self._choice}
        return {**self._document, "object": "chat.completion", "choices": [choice]}


class _Call:
    """One tool call, in pieces."""

    __slots__ = ("arguments", "id", "name", "others")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []
        self.others: dict[str, Any] = {}

    def document(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {**({"id": self.id} if self.id else {}), "type": "function", "function": function, **self.others}


def _texts_in(part: object) -> list[str]:
    """The texts of a part, which may lie in parts of its own."""
    if isinstance(part, str):
        return [part]
    if isinstance(part, list):
        return [text for inner in part for text in _texts_in(inner)]
    found = object_or_none(part)
    return next(
        (_texts_in(found[name]) for name in ("text", "content", "thinking", "reasoning") if found.get(name)), []
    )
