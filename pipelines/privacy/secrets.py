"""Secrets in a text: keys and tokens by the marks that their issuers give them, private keys, passwords.

Every pattern begins with what a plain search finds, and every repetition is bounded or possessive: the time is linear
in the text. Forms: the issuers' documentation of their tokens; RFC 7468 (private keys), RFC 7519 (JWT).
"""

import re
import string
from collections.abc import Iterator

from pipelines.privacy.kinds import Found, Kind

_TOKENS: tuple[tuple[str, str], ...] = (
    ("sk-", r"sk-[A-Za-z0-9_-]{20,200}+"),
    ("sk_", r"sk_(?:live|test)_[A-Za-z0-9]{16,200}+"),
    ("rk_", r"rk_(?:live|test)_[A-Za-z0-9]{16,200}+"),
    ("AKIA", r"AKIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("ASIA", r"ASIA[A-Z0-9]{16}(?![A-Za-z0-9])"),
    ("ghp_", r"ghp_[A-Za-z0-9]{36,255}+"),
    ("gho_", r"gho_[A-Za-z0-9]{36,255}+"),
    ("ghu_", r"ghu_[A-Za-z0-9]{36,255}+"),
    ("ghs_", r"ghs_[A-Za-z0-9]{36,255}+"),
    ("ghr_", r"ghr_[A-Za-z0-9]{36,255}+"),
    ("github_pat_", r"github_pat_[A-Za-z0-9_]{40,255}+"),
    ("glpat-", r"glpat-[A-Za-z0-9_-]{20,255}+"),
    ("xox", r"xox[abeoprs]-[A-Za-z0-9-]{10,255}+"),
    ("hooks.slack.com/services/", r"hooks\.slack\.com/services/[A-Za-z0-9]{6,16}/[A-Za-z0-9]{6,16}/[A-Za-z0-9]{16,64}"),
    ("AIza", r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("ya29.", r"ya29\.[A-Za-z0-9_-]{20,2000}+"),
    ("hf_", r"hf_[A-Za-z0-9]{30,100}+"),
    ("gsk_", r"gsk_[A-Za-z0-9]{40,100}+"),
    ("xai-", r"xai-[A-Za-z0-9]{40,100}+"),
    ("pplx-", r"pplx-[A-Za-z0-9]{40,100}+"),
    ("npm_", r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    ("pypi-", r"pypi-[A-Za-z0-9_-]{50,1000}+"),
    ("dop_v1_", r"dop_v1_[a-f0-9]{64}"),
    ("shpat_", r"shpat_[a-fA-F0-9]{32}"),
    ("SG.", r"SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,64}+"),
    ("eyJ", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,2000}+\.eyJ[A-Za-z0-9_-]{8,8000}+\.[A-Za-z0-9_-]{0,2000}+"),
)
"""What the text has to hold, and the pattern of the token that begins with it."""

_SHORT = frozenset({"xox", "hooks.slack.com/services/", "eyJ"})
"""The marks of tokens that may have fewer than sixteen letters, digits and dashes in a row."""
_PATTERNS = tuple((mark, re.compile(pattern)) for mark, pattern in _TOKENS)
_SHORT_PATTERNS = tuple(each for each in _PATTERNS if each[0] in _SHORT)
_IN_TOKENS = bytes(
    ord("a") if chr(code) in string.ascii_letters + string.digits + "_-" else ord(".") for code in range(256)
)
_LONG = b"a" * 16

_KEY_BEGINS = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,16} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END [A-Z0-9 ]{1,80}-----")

_IN_URL = re.compile(r"://[^\s/:@?#]{0,128}:([^\s/@?#]{3,256})@")
_VALUE = r"[\"']?(?: is|\s{0,3}[:=])\s{0,3}[\"']?([^\s\"',;<>(){}\[\]]{8,200}+)"
_ASSIGNED = tuple(
    (name.partition("[")[0], re.compile(name + _VALUE))
    for name in (
        "passwor[dt]", "passwd", "passphrase", "pwd", "secret", "api[_-]?key", "access[_-]?key", "account[_-]?key",
        "auth[_-]?token", "token",
    )
)  # fmt: skip
"""What the text has to hold in any case, and the pattern of a value given to such a name."""
_DIGIT, _LETTER = re.compile(r"[0-9]"), re.compile(r"[A-Za-z]")


_BLANKS = "$<[{*"
"""What begins a place where people are to put their password."""
_QUALIFIED = re.compile(r"[&*]?[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""A name in a program: `package.Type`."""


def find_secrets(text: str) -> Iterator[Found]:
    """All secrets; they may overlap."""
    long = _LONG in text.encode("latin-1", "replace").translate(_IN_TOKENS)
    for mark, pattern in _PATTERNS if long else _SHORT_PATTERNS:
        if mark in text:
            yield from (Found(Kind.API_KEY, *m.span()) for m in pattern.finditer(text) if _is_token(text, mark, m))
    if "-----BEGIN " in text:
        yield from _private_keys(text)
    if "://" in text:
        yield from (Found(Kind.PASSWORD, *m.span(1)) for m in _IN_URL.finditer(text) if m[1][0] not in _BLANKS)
    lowered = _lowered(text)
    for mark, pattern in _ASSIGNED:
        if mark in lowered:
            spans = (m.span(1) for m in pattern.finditer(lowered))
            yield from (Found(Kind.PASSWORD, *span) for span in spans if _is_random(text[slice(*span)]))


def _lowered(text: str) -> str:
    """In lower case, each character at its place."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _is_token(text: str, mark: str, match: "re.Match[str]") -> bool:
    """Whether it stands alone, and is not a name such as `sk-learn-like-pipelines`."""
    before = text[match.start() - 1 : match.start()]
    alone = not (before.isalnum() and before.isascii()) and before != "_"
    return alone and _DIGIT.search(match[0], match.start() + len(mark) - match.start()) is not None


def _private_keys(text: str) -> Iterator[Found]:
    """Each from its first to its last line; to the end of the text where the last line is missing."""
    place = 0
    while begin := _KEY_BEGINS.search(text, place):
        end = _KEY_ENDS.search(text, begin.end())
        place = len(text) if end is None else end.end()
        yield Found(Kind.PRIVATE_KEY, begin.start(), place)


def _is_random(value: str) -> bool:
    """Whether it looks chosen to be hard to guess, and not like the name of a variable, a path or an address."""
    if value.startswith((*_BLANKS, "%", "/")) or "://" in value or _QUALIFIED.fullmatch(value):
        return False
    return bool(_DIGIT.search(value) and _LETTER.search(value))
