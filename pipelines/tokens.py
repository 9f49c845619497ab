"""Counting tokens: cheap bounds for the hot path, exact counts for where the bounds cannot decide.

Counting exactly costs 30 microseconds and about 5 ns a byte (500 ns for the worst text); measuring bytes costs next
to nothing. So everything asks `measure` first and a `TokenCounter`
only where the answer depends on it. Exact means exact for OpenAI's encodings; Anthropic and Google publish no
offline tokenizer, so for their models a count by `o200k_base` is a good estimate and no more. Images are counted by
`pipelines.images`, and come along in the size of a prompt.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson
from toktok import batch_count  # type: ignore[import-untyped]  # it has annotations, and no py.typed

from pipelines.images.counting import image_tokens
from synthralos.domain.jobs import MEMBERS, Request

BYTES_PER_TOKEN = 4
"""OpenAI's rule of thumb for English text (help.openai.com, "What are tokens and how to count them?")."""

TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3
"""What the chat format adds for each message and for the start of the answer.

Source: OpenAI Cookbook, "How to count tokens with tiktoken", section 6."""

SANDBOX = "sandbox"
"""The provider whose options are orders to a stage prop, and no text that is read."""

_IN_TEXTS = frozenset({"role", "content"})
"""Members of a message that `Request.texts` has looked at."""

_DEFINITIONS = ("tools", "tool_choice", "response_format", "stop")
"""Members of a body that the model reads beside the messages."""

DEFAULT_ENCODING = "o200k_base"

OLD_ENCODINGS: Mapping[str, str] = {
    "gpt-3.5-": "cl100k_base",
    "gpt-4-": "cl100k_base",
    "text-embedding-": "cl100k_base",
}
"""Model name prefixes with an encoding other than `DEFAULT_ENCODING`. Source: tiktoken's `model.py`."""


class TextSize(NamedTuple):
    """How large a prompt is, without having counted tokens."""

    characters: int
    bytes: int
    texts: int
    images: int = 0
    """Tokens of the images beside the texts."""

    @property
    def overhead(self) -> int:
        """Tokens that the chat format adds to the texts themselves; each text counts as a message."""
        return self.texts * TOKENS_PER_MESSAGE + TOKENS_PER_REPLY

    @property
    def estimate(self) -> int:
        """Tokens, about: a quarter of the UTF-8 bytes, rounded up, the images, and the overhead."""
        return -(-self.bytes // BYTES_PER_TOKEN) + self.images + self.overhead

    @property
    def upper_bound(self) -> int:
        """Tokens, at most: a token of a byte-level encoding has at least one byte."""
        return self.bytes + self.images + self.overhead


def prompt_texts(request: Request) -> list[str]:
    """Every piece of text that a provider gets: messages and who says them, tool calls, tool definitions, the wanted
    schema, what ends the answer, and options of its own.

    Options of several providers count all, although each gets its own alone: nobody knows yet which is asked.
    """
    texts = request.texts()
    for message in request.messages:
        if message.keys() <= _IN_TEXTS:
            continue
        texts += [message[member] for member in ("name", "refusal") if message.get(member)]
        if calls := message.get("tool_calls"):
            texts.append(_as_json(calls))
        if message["role"] == "assistant" and (others := {k: v for k, v in message.items() if k not in MEMBERS and v}):
            texts.append(_as_json(others))
    for name in _DEFINITIONS if not request.body.keys().isdisjoint(_DEFINITIONS) else ():
        definition = request.body.get(name)
        if definition:
            texts.append(definition if isinstance(definition, str) else _as_json(definition))
    texts += [_as_json(options) for name, options in request.provider_options.items() if options and name != SANDBOX]
    return texts


def measure(texts: Sequence[str]) -> TextSize:
    """The size of `texts`; takes microseconds whatever their length."""
    characters = size = 0
    for text in texts:
        length = len(text)
        characters += length
        # A lone surrogate has no UTF-8 form; a prompt that holds one still gets a size.
        size += length if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return TextSize(characters, size, len(texts))


def prompt_size(request: Request) -> TextSize:
    """The size of all that a provider gets, images too. Guards, limits, policies and routing ask: measured once."""
    known: TextSize | None = request.measured.get("size")
    if known is None:
        known = request.measured["size"] = _measured(request)
    return known


def _measured(request: Request) -> TextSize:
    size, images = measure(prompt_texts(request)), image_tokens(request)
    return size._replace(images=images) if images else size


def estimate(texts: Sequence[str]) -> int:
    """Tokens, about: UTF-8 bytes / 4 rounded up, plus 3 for each text and 3 for the answer's start."""
    return measure(texts).estimate


def upper_bound(texts: Sequence[str]) -> int:
    """Tokens, at most: UTF-8 bytes, plus 3 for each text and 3 for the answer's start."""
    return measure(texts).upper_bound


def encoding_for(model: str) -> str:
    """The encoding to count with for `model` (`auto`, `provider/model`, `model` or a deployment's id)."""
    name = model.rpartition("/")[2].partition("@")[0] + "-"
    return next((encoding for prefix, encoding in OLD_ENCODINGS.items() if name.startswith(prefix)), DEFAULT_ENCODING)


class TokenCounter:
    """Counts tokens exactly. An encoding is loaded (up to 0.5 s) when it is first needed, once per process."""

    def count(self, texts: Sequence[str], encoding: str = DEFAULT_ENCODING) -> int:
        """The tokens of `texts` with the chat format's overhead, as `estimate` adds it; KeyError: no such encoding.

        Special tokens, such as `<|endoftext|>`, are counted as the text that they are.
        """
        return sum(self.each(texts, encoding)) + len(texts) * TOKENS_PER_MESSAGE + TOKENS_PER_REPLY

    @staticmethod
    def each(texts: Sequence[str], encoding: str = DEFAULT_ENCODING) -> list[int]:
        """The tokens of each text, without anything added; KeyError: no such encoding."""
        try:
            counts: list[int] = batch_count(texts, encoding, threads=1)
        except UnicodeEncodeError:
            counts = batch_count([_encodable(text) for text in texts], encoding, threads=1)
        return counts


def _encodable(text: str) -> str:
    """The text with a question mark for every lone surrogate, which has no UTF-8 form."""
    return text.encode("utf-8", "replace").decode()


def _as_json(value: object) -> str:
    return orjson.dumps(value).decode()
