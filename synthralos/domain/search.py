"""Full-text search: what of a job is searched, and how a query is read; alike for every database.

Both are brought to one plain form here: words of letters and digits in lower case, one space between them. So an index
of any database finds the same, and a job that is in no index yet can be compared as it is (`Search.matches`).
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

MOST_REQUEST, MOST_RESULT, MOST_OTHER = 8_000, 6_000, 2_000
"""Characters of a request, of a result, and of errors with metadata that are searched; the beginning and the end."""

MOST_READ = 65_536
"""Characters of a stored request or result that are read for it."""

MOST_TERMS = 16
_LONGEST_WORD = 64
_MOST_TAGS = 50
_NOT_WORDS = re.compile(r"[\W_]+")
_ASCII = bytes(ord(char.lower() if char.isalnum() else " ") for char in map(chr, range(128))) + bytes(128)
"""The same for most texts, in lower case: a fraction of the time."""

_TERM = re.compile(r'(-?)(?:"([^"]*)"|(\S+))')
_UNSEARCHED = frozenset({"role", "type", "image_url", "url", "data", "file_data", "signature"})


class SearchError(ValueError):
    """A query that cannot be asked; the text says why."""


class Term(NamedTuple):
    """Words that have to stand side by side. `prefix`: the last one may go on. `absent`: they must not be there."""

    words: tuple[str, ...]
    prefix: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """Terms that all have to hold. There is at least one that is not `absent`."""

    terms: tuple[Term, ...]

    def matches(self, document: str) -> bool:
        """Whether a document, as `document_of` makes it, is found."""
        text = f" {document} "
        return all((_sought(term) in text) is not term.absent for term in self.terms)


class Searched(NamedTuple):
    """What a document is made of. `request` and `result` are JSON text, `MOST_READ` characters at most."""

    request: str | None
    result: str | None
    failures: Iterable[Mapping[str, Any] | None]
    metadata: Mapping[str, Any] | None
    markers: Iterable[str]


def search_of(text: str | None, markers: Iterable[str] = ()) -> Search | None:
    """What `text` asks for, besides markers; None for nothing. Raises `SearchError`.

    Words and "phrases" have to be there, those with a minus must not, and a word with an asterisk may go on.
    """
    terms = [Term((marker,)) for marker in markers]
    for minus, phrase, word in _TERM.findall(text or ""):
        words = tuple(plain(phrase or word).split())
        if words:
            terms.append(Term(words, prefix=not phrase and word.endswith("*"), absent=bool(minus)))
    if len(terms) > MOST_TERMS:
        raise SearchError(f"has more than {MOST_TERMS} words")
    if text and text.strip() and not any(not term.absent for term in terms):
        raise SearchError("has no word that is to be found")
    return Search(tuple(terms)) if terms else None


def document_of(searched: Searched) -> str:
    """The words of a job, and behind them its markers."""
    parts = [_cut(_text_of(searched.request), MOST_REQUEST), _cut(_text_of(searched.result), MOST_RESULT)]
    others = [f"{each['class']} {each['message']}" for each in searched.failures if each is not None]
    others += [f"{name} {value}" for name, value in _tags(searched.metadata)]
    parts.append(_cut("\n".join(others), MOST_OTHER))
    return " ".join([*(words for part in parts if (words := plain(part))), *searched.markers])


def marker(kind: str, value: str) -> str:
    """A word that stands for a value and occurs in no text; so one index serves text and values."""
    return f"x{kind}{blake2b(value.encode(), digest_size=8).hexdigest()}"


def tag_marker(name: str, value: str) -> str:
    """The marker of a member of a job's metadata."""
    return marker("t", f"{name}={value}")


def tag_markers(metadata: Mapping[str, Any] | None) -> list[str]:
    """The markers of a job's metadata, as far as its values are plain."""
    return [tag_marker(name, value) for name, value in _tags(metadata)]


def plain(text: str) -> str:
    """Words of letters and digits, in lower case, with one space between them."""
    if text.isascii():
        words = text.encode().translate(_ASCII).decode().split()
    else:
        words = _NOT_WORDS.sub(" ", unicodedata.normalize("NFKC", text).lower()).split()
    if max(map(len, words), default=0) > _LONGEST_WORD:
        words = [word[:_LONGEST_WORD] for word in words]
    return " ".join(words)


def _sought(term: Term) -> str:
    return f" {' '.join(term.words)}" + ("" if term.prefix else " ")


def _tags(metadata: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    plain_values = [(name, value) for name, value in (metadata or {}).items() if isinstance(value, str | int | float)]
    return [(name, _written(value)) for name, value in plain_values[:_MOST_TAGS]]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _text_of(stored: str | None) -> str:
    if stored is None:
        return ""
    try:
        document = orjson.loads(stored)
    except orjson.JSONDecodeError:
        return stored  # it was cut: what is there of it is searched as it is
    found: list[str] = []
    _gather(document, found)
    return "\n".join(found)


def _gather(value: Any, found: list[str]) -> None:
    """Add the texts that are in a document, in their order."""
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, list):
        for item in value:
            _gather(item, found)
    elif isinstance(value, dict):
        for name, item in value.items():
            if item is not None and name not in _UNSEARCHED:
                _gather(item, found)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}\n{text[-most // 2 :]}"
