"""What never reaches a log: keys, passwords, and what tenants send and get.

Two nets. The secrets that this process knows are looked for as they stand; whatever else has the form of a key, of an
`Authorization` header or of a URL with a password is found by its form.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
import re2  # type: ignore[import-untyped]

HIDDEN = "[redacted]"

SHORTEST_SECRET = 6
"""Characters. What is shorter would be found in ordinary words."""

MOST_SECRETS = 10_000
"""Secrets that are looked for as they stand."""

PRIVATE = frozenset(
    {"answer", "body", "constraints", "content", "input", "messages", "metadata", "output", "payload", "prompt",
     "provider_options", "request", "result", "system", "text", "tool_calls", "tools"}
)  # fmt: skip
"""Names of fields that hold what a tenant sent or got: their values are not logged, whatever they are."""

SECRET_NAME = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|api[_-]?key|(private|write)[_-]?key|credential|authorization|cookie)s?$"
)
"""Names of fields, of headers and of environment variables whose values are secrets."""

_WORD = r"[^\s\"'\\,;&<>(){}\[\]]"
_FORMS = re.compile(
    # What any of them begins with: looked at first, since most characters begin none.
    r"(?=[:abceprstwABCPSTW])(?:"
    r"(?P<scheme>://[^\s/:@\"']*):(?P<password>[^\s\"']*)@(?=[^\s@\"']*)"
    rf"|(?P<bearer>(?i:\b(?:bearer|basic))\s+)(?P<credential>{_WORD}{{6,}})"
    r"|(?P<named>(?i:(?:(?:api|write)[_-]?key|authorization|password|passwd|secret|token|cookie)"
    rf"[\"']?\s*[:=]\s*[\"']?))(?!(?i:bearer|basic)\s)(?P<value>{_WORD}{{4,}})"
    r"|\b(?:(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{12,}"
    r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)?)"
    # What looks like a key may be a name that ends in `token`: then its value is one.
    rf"(?:[\"']?\s*[:=]\s*[\"']?{_WORD}{{4,}})?"
    r")"
)

_GAP = r"(?:\\[nrt\"]|[\s\"'])"
_SUSPECTS = re2.compile(
    (
        r"://[^\s/:@\"']*:[^\s\"']*@"
        rf"|(?i:bearer|basic){_GAP}+{_WORD}{{6}}"
        rf"|(?i:(?:api|write)[_-]?key|authorization|password|passwd|secret|token|cookie){_GAP}*[:=]{_GAP}*{_WORD}{{4}}"
        r"|(?:sk|pk|rk)-[A-Za-z0-9_-]{8}|AIza[A-Za-z0-9_-]{20}|AKIA[A-Z0-9]{12}"
        r"|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5}"
    ).encode()
)
"""What all that `_FORMS` finds in a text looks like in JSON, and little more. In linear time: it sees whole traces."""

_ROOMY = re2.Options()
_ROOMY.max_mem = 1 << 28


class Redactor:
    """Hides secrets in texts and in fields. Thread-safe: what it knows is swapped whole."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets` are hidden wherever they stand, in the spelling of a URL too."""
        self._secrets: tuple[str, ...] = ()
        self._known: re.Pattern[str] | None = None
        self._known_encoded: Any = None
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these too from now on; of very many, those that were learned last."""
        forms = [form for secret in secrets for form in (secret, unquote(secret)) if len(form) >= SHORTEST_SECRET]
        self._secrets = tuple(dict.fromkeys((*forms, *self._secrets)))[:MOST_SECRETS]
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        encoded = [re2.escape(orjson.dumps(form)[1:-1]) for form in longest_first]
        self._known_encoded = re2.compile(b"|".join(encoded), _ROOMY) if encoded else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        known = self._known
        if known is not None:
            text = known.sub(HIDDEN, text)
        return _FORMS.sub(_hide, text)

    def document(self, document: Any, encoded: bytes | None = None) -> Any:
        """A JSON document without secrets, however deep; what belongs to tenants stays.

        `encoded` is the document as orjson writes it, where that is known already.
        """
        return self._cleaned(document) if self._suspects(encoded or orjson.dumps(document)) else document

    def _suspects(self, encoded: bytes) -> bool:
        """Whether a document, as JSON, may hold a secret: quick, and sure only where it says no."""
        if _SUSPECTS.search(encoded) is not None:
            return True
        known = self._known_encoded
        return known is not None and known.search(encoded) is not None

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields without secrets and without what belongs to tenants, however deep."""
        return {name: self._field(name, value) for name, value in fields.items()}

    def _cleaned(self, value: Any, name: str = "") -> Any:
        if isinstance(value, str):
            return self.text(f"{name}={value}").removeprefix(f"{name}=")
        if isinstance(value, Mapping):
            return {key: self._cleaned(inner, key) for key, inner in value.items()}
        return [self._cleaned(inner) for inner in value] if isinstance(value, list) else value

    def _field(self, name: str, value: Any) -> Any:
        if name.lower() in PRIVATE or SECRET_NAME.search(name):
            return HIDDEN
        return self._value(value)

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._field(str(key), inner) for key, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(inner) for inner in value]
        return self.text(str(value))


def secrets_of(urls: Iterable[str | None], environ: Mapping[str, str]) -> set[str]:
    """The passwords in the URLs (several may be in one, separated by `;`), and the secrets of the environment."""
    found = {value for name, value in environ.items() if SECRET_NAME.search(name)}
    for url in urls:
        for part in (url or "").split(";"):
            found |= _passwords(part)
    return {secret for secret in found if len(secret) >= SHORTEST_SECRET}


def _passwords(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


def _hide(found: re.Match[str]) -> str:
    if found["scheme"]:
        return f"{found['scheme']}:{HIDDEN}@"
    return (found["bearer"] or found["named"] or "") + HIDDEN
