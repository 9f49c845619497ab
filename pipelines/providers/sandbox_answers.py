"""What the sandbox says: a readable account of the prompt, derived from nothing else."""

import re
from collections import Counter
from typing import Any

import orjson

from pipelines.providers.sandbox_examples import example
from synthralos.domain.jobs import Request

READ_AT_MOST = 4000
"""Characters of a prompt that the account is made of; its words are counted in full."""

_WORD = re.compile(r"[^\W\d_]{4,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_QUOTED_AT_MOST = 160
_TOPICS = 3


def tokens(text: str) -> int:
    """The tokens of a text, by the sandbox's rule: its UTF-8 bytes divided by four, rounded up."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def answer(request: Request) -> str:
    """The answer to a request: prose, or JSON of the form that the request asks for."""
    prompt = _last_prompt(request)
    words = len(prompt.split())
    opening = _opening(prompt)
    topics = _topics(prompt)
    wanted = request.body.get("response_format")
    schema = wanted.get("json_schema", {}).get("schema") if isinstance(wanted, dict) else None
    if schema is not None:
        return orjson.dumps(example(schema, opening)).decode()
    if _wants_json(wanted):
        return orjson.dumps({"answer": opening, "words": words, "topics": topics}).decode()
    about = f" It is mostly about {', '.join(topics)}." if topics else ""
    return f"You asked, in {words} words: “{opening}”{about} (sandbox answer: no model was called)"


def _last_prompt(request: Request) -> str:
    """The text of the last user message, or of the last message where no user spoke."""
    spoken = [message for message in request.messages if message.get("role") == "user"] or request.messages
    return "\n".join(Request(request.model, {"messages": spoken[-1:]}).texts())


def _opening(prompt: str) -> str:
    flat = " ".join(prompt[:READ_AT_MOST].split())
    sentence = _SENTENCE_END.split(flat, maxsplit=1)[0]
    return sentence if len(sentence) <= _QUOTED_AT_MOST else sentence[: _QUOTED_AT_MOST - 1] + "…"


def _topics(prompt: str) -> list[str]:
    """The most frequent longer words, the earlier first among equals."""
    return [word for word, _ in Counter(_WORD.findall(prompt[:READ_AT_MOST].lower())).most_common(_TOPICS)]


def _wants_json(response_format: Any) -> bool:
    return isinstance(response_format, dict) and response_format.get("type") in ("json_object", "json_schema")
