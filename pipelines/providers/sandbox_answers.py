"""What the sandbox says: a readable account of the prompt, derived from nothing else."""

import re
from collections import Counter
from itertools import chain
from typing import Any

import orjson

from pipelines.output_schema import SchemaProblem, misfit_of
from pipelines.providers.sandbox_examples import examples
from synthralos.domain.jobs import Request

READ_AT_MOST = 4000
"""Characters of a prompt that the account is made of; its words are counted in full."""

_WORD = re.compile(r"[^\W\d_]{4,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")
_QUOTED_AT_MOST = 160
_TOPICS = 3
_PROSE = "This is prose, not the JSON that was asked for."


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
    if wanted is not None and schema is not None:
        return _example(wanted, opening)
    if wants_json(request):
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


def wants_json(request: Request) -> bool:
    """Whether the request asks for JSON."""
    wanted = request.body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema")


def misfit_answer(request: Request) -> str:
    """An answer that is not what a request for JSON asks for: an empty one, or prose where that would fit."""
    try:
        misfit = misfit_of(request.body["response_format"])
    except SchemaProblem:
        return _PROSE
    return next((text for text in ("{}", "[]", "null") if misfit(text) is not None), _PROSE)


def _example(wanted: dict[str, Any], opening: str) -> str:
    """An example that fits the schema; where none does, the first."""
    texts = (orjson.dumps(each).decode() for each in examples(wanted["json_schema"]["schema"], opening))
    first = next(texts)
    try:
        misfit = misfit_of(wanted)
    except SchemaProblem:
        return first
    return next((text for text in chain([first], texts) if misfit(text) is None), first)
