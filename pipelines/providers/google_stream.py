"""Google's streamGenerateContent, put together again: each event is an answer of its own, with what is new of it.

Source: Gemini API reference, "streamGenerateContent", "GenerateContentResponse".
"""

from typing import Any

from pipelines.providers import legible
from pipelines.providers.answers import name_in
from pipelines.providers.assembly import object_in, object_or_none, texts_of
from pipelines.providers.google_usage import USAGE, read_usage
from pipelines.providers.sse import ServerEvent
from synthralos.domain.deltas import Delta, ToolDelta

_OF_THE_ANSWER = ("modelVersion", "responseId", "promptFeedback", USAGE)
_OF_THE_CANDIDATE = ("finishReason", "finishMessage", "index")


class GoogleAssembly:
    """The first candidate. There is no last word: the connection ends the answer, if a reason came for its end."""

    def __init__(self) -> None:
        self.broken: dict[str, Any] | None = None
        self.complete = self.over = False
        self._document: dict[str, Any] = {}
        self._candidate: dict[str, Any] | None = None
        self._parts: list[dict[str, Any]] = []
        self._calls = 0

    @property
    def known_input(self) -> int | None:
        """See `Assembly.known_input`: told with every event."""
        usage = read_usage(self._document.get(USAGE))
        return None if usage is None else usage.input

    def take(self, event: ServerEvent) -> Delta:
        """See `Assembly.take`."""
        data = object_in(event)
        if data.get("error"):
            self.broken, self.over = data, True
            return Delta()
        self._document |= {name: data[name] for name in _OF_THE_ANSWER if data.get(name)}
        self.complete = self.complete or bool(object_or_none(data.get("promptFeedback")).get("blockReason"))
        candidates = data.get("candidates")
        first = candidates[0] if isinstance(candidates, list) and candidates else candidates
        return self._take_candidate(first) if isinstance(first, dict) else Delta()

    def _take_candidate(self, candidate: dict[str, Any]) -> Delta:
        self._candidate = {
            **(self._candidate or {}),
            **{name: candidate[name] for name in _OF_THE_CANDIDATE if candidate.get(name) is not None},
        }
        self.complete = self.complete or bool(self._candidate.get("finishReason"))
        parts = object_or_none(candidate.get("content")).get("parts")
        said: list[str] = []
        thought: list[str] = []
        calls: list[ToolDelta] = []
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict):
                continue
            self._keep(part)
            (thought if part.get("thought") is True else said).append(texts_of(part.get("text")))
            if isinstance(part.get("functionCall"), dict) and part.get("thought") is not True:
                calls.append(self._call(part["functionCall"]))
        return Delta("".join(said), "".join(thought), tuple(calls))

    def _keep(self, part: dict[str, Any]) -> None:
        """The part, or more of the one before it: text that is not signed goes on where the last text ended."""
        last = self._parts[-1] if self._parts else {}
        if part.keys() <= {"text", "thought"} and last.keys() == part.keys() and _goes_on(last, part):
            last["text"] += part["text"]
        else:
            self._parts.append(dict(part))

    def _call(self, call: dict[str, Any]) -> ToolDelta:
        """Calls come whole. One without an id gets the id that it has in the whole answer."""
        number, self._calls = self._calls, self._calls + 1
        made_up = f"call_{name_in(self._document.get('responseId')) or '0'}_{number}"
        inputs = call.get("args")
        arguments = legible.as_text({} if inputs is None else inputs)
        return ToolDelta(number, str(call.get("id") or made_up), str(call.get("name") or ""), arguments)

    def document(self) -> dict[str, Any]:
        """See `Assembly.document`."""
        if self._candidate is None:
            return self._document
        content = {"parts": self._parts, "role": "model"}
        return {**self._document, "candidates": [{**self._candidate, "content": content}]}


def _goes_on(last: dict[str, Any], part: dict[str, Any]) -> bool:
    both_texts = isinstance(last.get("text"), str) and isinstance(part.get("text"), str)
    return both_texts and last.get("thought") == part.get("thought")
