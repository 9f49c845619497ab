"""Private values replaced in a request, and put back into its answer.

A placeholder such as `[EMAIL_1]` is made of the request alone, the same for each attempt: whichever worker asks can put
the values back. Nothing that the request itself calls so is taken for one.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from pipelines.privacy.find import find
from pipelines.privacy.kinds import Kind
from pipelines.privacy.walk import walk
from synthralos.domain.attempts import Reply
from synthralos.domain.jobs import Request

_KINDS = "|".join(kind.upper() for kind in Kind)
_PLACEHOLDER = re.compile(rf"\[({_KINDS})_([0-9]{{1,9}})\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Redaction:
    """A request without its private values, and what each placeholder in it stands for."""

    request: Request
    values: dict[str, str]

    def restored(self, reply: Reply) -> Reply:
        """The reply with the values for their placeholders, however the model wrote them in upper and lower case."""
        if not self.values:
            return reply
        return replace(
            reply,
            text=self._put_back(reply.text),
            reasoning=self._put_back(reply.reasoning),
            tool_calls=[self._into_call(call) for call in reply.tool_calls],
        )

    def _put_back(self, text: str | None, *, escaped: bool = False) -> str | None:
        def value(match: "re.Match[str]") -> str:
            found = self.values.get(match[0].upper())
            if found is None:
                return match[0]
            return json.dumps(found, ensure_ascii=False)[1:-1] if escaped else found

        return None if text is None else _PLACEHOLDER.sub(value, text)

    def _into_call(self, call: dict[str, Any]) -> dict[str, Any]:
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("arguments"), str):
            return call
        return {**call, "function": {**function, "arguments": self._put_back(function["arguments"], escaped=True)}}


def redact(request: Request, kinds: Collection[Kind]) -> Redaction:
    """The request with a placeholder for each private value of these kinds that can be replaced."""
    replacing = _Replacing(kinds, _taken(request))
    return Redaction(walk(request, replacing), {name: value for value, name in replacing.names.items()})


class _Replacing:
    """A visitor that writes placeholders, the same one for the same value."""

    def __init__(self, kinds: Collection[Kind], taken: int) -> None:
        self.names: dict[str, str] = {}
        self._kinds = kinds
        self._taken = taken
        self._counts: dict[Kind, int] = {}

    def free(self, text: str, path: str) -> str:
        pieces, done = [], 0
        for found in find(text):
            if found.kind in self._kinds:
                pieces += [text[done : found.start], self._name(found.kind, text[found.start : found.end])]
                done = found.end
        return "".join(pieces) + text[done:] if done else text

    def fixed(self, text: str, path: str) -> None:
        """What cannot be replaced was refused by the guard."""

    def _name(self, kind: Kind, value: str) -> str:
        name = self.names.get(value)
        if name is None:
            number = self._counts[kind] = self._counts.get(kind, self._taken) + 1
            name = self.names[value] = f"[{kind.upper()}_{number}]"
        return name


def _taken(request: Request) -> int:
    """The highest number of what looks like a placeholder in the request: new ones are counted from there."""
    seen = _Seen()
    walk(request, seen)
    return seen.highest


class _Seen:
    def __init__(self) -> None:
        self.highest = 0

    def free(self, text: str, path: str) -> str:
        self.fixed(text, path)
        return text

    def fixed(self, text: str, path: str) -> None:
        if "[" in text:
            self.highest = max([self.highest, *(int(m[2]) for m in _PLACEHOLDER.finditer(text))])
