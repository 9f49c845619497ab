"""What the protocols of Anthropic and Google have in common: chat messages as turns of blocks, system texts apart.

What a protocol has no form for raises `NotTaken`; nothing is left out in silence but hints (`name`, the `detail` of an
image) and what other providers alone can read (their signed thoughts).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from pipelines.providers.wire import NotTaken

Block = dict[str, Any]
Turn = tuple[str, list[Block]]
"""(role, blocks)"""

Place = str
"""Where in the request something is: `messages[3].content[0]`."""

ToPart = Callable[[Mapping[str, Any], Place], Block | None]
"""A content part that is no text in the protocol's form; None where it is left out."""

_SYSTEM = frozenset({"system", "developer"})
_DATA_URL = re.compile(r"data:(?P<kind>[^;,]+)(?:;[^;,]*)*;base64,(?P<data>.*)", re.IGNORECASE | re.DOTALL)


def system_texts(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The texts of all system and developer messages, in order, without blank ones."""
    return [
        text
        for number, message in enumerate(messages)
        if message["role"] in _SYSTEM
        for text in _only_texts(message.get("content"), f"messages[{number}].content")
        if text.strip()
    ]


def merged(turns: Iterator[Turn]) -> list[Turn]:
    """The turns without empty ones, those of one role in a row as one."""
    found: list[Turn] = []
    for role, blocks in turns:
        if found and found[-1][0] == role:
            found[-1][1].extend(blocks)
        elif blocks:
            found.append((role, list(blocks)))
    if not found:
        raise NotTaken("messages: this API needs a message of a user; add one")
    return found


def talk(messages: Sequence[dict[str, Any]]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The messages that are no system messages, each with its place."""
    for number, message in enumerate(messages):
        if message["role"] not in _SYSTEM:
            yield f"messages[{number}]", message


def blocks(content: object, place: Place, text: Callable[[str], Block], other: ToPart) -> Iterator[Block]:
    """A message's content as blocks, without blank texts, which these APIs refuse."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for number, part in enumerate(parts if isinstance(parts, list) else ()):
        written = part.get(part["type"]) if part["type"] in ("text", "refusal") else None
        if isinstance(written, str):
            if written.strip():
                yield text(written)
        elif (block := other(part, f"{place}.content[{number}]")) is not None:
            yield block


def refusal_or_content(message: Mapping[str, Any]) -> object:
    """What an assistant's message says: its content, or the refusal that stood in for one."""
    return message.get("content") or message.get("refusal")


def kept_thoughts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The signed thoughts that an assistant's message brings back, of whichever provider."""
    kept = message.get("thinking")
    return [thought for thought in kept if isinstance(thought, dict)] if isinstance(kept, list) else []


def image_url(part: Mapping[str, Any]) -> tuple[str | None, str]:
    """(media type, Base64) of an image that came along as a `data:` URL; (None, address) of one on the web."""
    url: str = part["image_url"]["url"]
    inline = _DATA_URL.fullmatch(url)
    return (inline["kind"].lower(), inline["data"]) if inline else (None, url)


def not_taken(part: Mapping[str, Any], place: Place) -> NotTaken:
    """The refusal of a content part."""
    return NotTaken(f"{place}: this API takes no {part['type']} here; leave it out, or choose another deployment")


def arguments(call: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The arguments of an earlier tool call as an object: these APIs take no text there."""
    text: str = call["function"]["arguments"]
    try:
        found = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise NotTaken(f"{place}.function.arguments: this API takes a JSON object alone; send one as text")
    return found


def stops(body: Mapping[str, Any], most: int | None = None) -> list[str]:
    """The texts that end the answer, as a list; `most` of them are taken, and no blank one."""
    given = body.get("stop") or []
    found = [given] if isinstance(given, str) else list(given)
    if any(not text.strip() for text in found):
        raise NotTaken("stop: this API takes no blank text; leave it out")
    if most is not None and len(found) > most:
        raise NotTaken(f"stop: this API takes at most {most}; send fewer")
    return found


def answer_schema(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON Schema that the answer has to follow, if it has to."""
    wanted = body.get("response_format") or {}
    schema: dict[str, Any] | None = (wanted.get("json_schema") or {}).get("schema")
    return schema


def _only_texts(content: object, place: Place) -> list[str]:
    if isinstance(content, str):
        return [content]
    found = []
    for number, part in enumerate(content if isinstance(content, list) else ()):
        if part["type"] != "text":
            raise not_taken(part, f"{place}[{number}]")
        found.append(part["text"])
    return found
