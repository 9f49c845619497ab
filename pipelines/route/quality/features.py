"""Features of prompts: hashed words and pairs of words, and measures of how a text is built."""

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

BITS = 15
BUCKETS = 1 << BITS

MOST_CHARACTERS = 8_000
"""Of a longer text the first three quarters of so many characters are read, and the last quarter."""

_TOKENS = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")
_OPTION = re.compile(r"^\(?([A-E])[.)][ \t]?(.*)$", re.MULTILINE)
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"[-+$]?[\d\s.,/%()]*\d[\d\s.,/%()]*")

_SIGNS = (
    "?", "0123456789", "+-*/=<>^", "\\$", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", ",;:", ".", "\"'", "()", "\n", "_", "{}[]", "%",
)  # fmt: skip
"""Kinds of characters that are counted. What is not ASCII is one more kind."""

_WORDS = tuple(
    frozenset(group.split())
    for group in (
        "which what", "following", "not except never", "how why explain", "who whom when where", "true false",
        "percent percentage", "if suppose assume given", "he she his her him man woman", "the of a to in and",
        "return import int def self list", "most least best likely", "all none both any", "many much total each per",
        "string array function class print", "find calculate compute evaluate solve", "write describe compose tell",
    )
)  # fmt: skip
"""Groups of words that are counted."""

_GROUP_OF = {word: number for number, group in enumerate(_WORDS) for word in group}

_MEASURES = 15
MEASURES = _MEASURES + 2 * (len(_SIGNS) + 1) + 2 * len(_WORDS)


def _kinds_of_bytes() -> Places:
    """The kind of sign of each byte of UTF-8; the last number is none of them."""
    kinds = np.full(256, len(_SIGNS) + 1, np.int64)
    for number, signs in enumerate(_SIGNS):
        kinds[list(signs.encode())] = number
    kinds[128:] = len(_SIGNS)
    return kinds


_KIND = _kinds_of_bytes()


class Features(NamedTuple):
    """Of a batch. `text`, `bucket` and `times` have an entry for each distinct bucket of each text, texts in order.

    `measures` has a row a text.
    """

    text: Places
    bucket: Places
    times: Floats
    measures: Floats


def read_features(texts: Sequence[str]) -> Features:
    """The features of each text; an empty one has those of no word."""
    if not texts:
        nothing = np.zeros(0, np.int64)
        return Features(nothing, nothing, np.zeros(0, np.float32), np.zeros((0, MEASURES), np.float32))
    read = [shortened(text) for text in texts]
    tokens = [_TOKENS.findall(text.lower()) or [""] for text in read]
    buckets = [_buckets(each) for each in tokens]
    of_text = np.repeat(np.arange(len(texts)), [len(each) for each in buckets])
    keys, times = _counted((of_text << BITS) | np.concatenate(buckets))
    measures = np.array([_measured(text, each) for text, each in zip(read, tokens, strict=True)], np.float32)
    return Features(keys >> BITS, keys & (BUCKETS - 1), times, measures)


def _counted(keys: Places) -> tuple[Places, Floats]:
    """(each distinct key, in order, how often it is there); `np.unique` takes three times as long for a prompt."""
    keys.sort()
    begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    times = np.empty(len(begins), np.float32)
    times[:-1] = begins[1:] - begins[:-1]
    times[-1] = len(keys) - begins[-1]
    return keys[begins], times


def shortened(text: str) -> str:
    """What is read of a text."""
    if len(text) <= MOST_CHARACTERS:
        return text
    tail = MOST_CHARACTERS // 4
    return text[: MOST_CHARACTERS - tail] + text[-tail:]


@lru_cache(1 << 16)
def _hash(token: str) -> int:
    return zlib.crc32(token.encode("utf-8", "surrogatepass"))


def _buckets(tokens: Sequence[str]) -> Places:
    """The bucket of every word, and of every two in a row."""
    words = np.fromiter(map(_hash, tokens), np.uint64, len(tokens))
    pairs = words[:-1] * np.uint64(0x9E3779B97F4A7C15) + words[1:] * np.uint64(0xC2B2AE3D27D4EB4F)
    return np.concatenate([words & np.uint64(BUCKETS - 1), pairs >> np.uint64(64 - BITS)]).astype(np.int64)


def _measured(text: str, tokens: Sequence[str]) -> npt.NDArray[np.float64]:
    words = text.count(" ") + text.count("\n") + 1
    signs = np.bincount(_KIND[np.frombuffer(text.encode("utf-8", "replace"), np.uint8)], minlength=len(_SIGNS) + 2)
    grouped = np.array([_GROUP_OF[token] for token in tokens if token in _GROUP_OF], np.int64)
    groups = np.bincount(grouped, minlength=len(_WORDS))
    signs = signs[:-1]
    built = _built(text, tokens, words)
    return np.concatenate([built, np.log1p(signs), signs / words, np.log1p(groups), groups / words])


def _built(text: str, tokens: Sequence[str], words: int) -> list[float]:
    """Length, the question and its options, the end, the variety of words: `_MEASURES` numbers."""
    options = list(_OPTION.finditer(text)) if "\nB" in text or "\n(B" in text else []
    answers = [option.group(2).strip() for option in options]
    sizes = [len(answer) for answer in answers] or [0]
    question = text[: options[0].start()] if options else text
    end = question.rstrip()[-1:]
    return [
        *np.log1p([len(text), words, len(question), sum(sizes), max(sizes), min(sizes)]).tolist(),
        len(text) / words,
        min(len(options), 10),
        sum(_NUMBER.fullmatch(answer) is not None for answer in answers[:10]),
        sum(_DIGIT.search(answer) is not None for answer in answers[:10]),
        text.rstrip().endswith("Answer:"),
        end == "?",
        end in (".", ":"),
        len(set(tokens)) / len(tokens),
        len([token for token in tokens if len(token) > 9]) / len(tokens),
    ]
