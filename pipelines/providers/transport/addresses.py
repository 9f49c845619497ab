"""URLs and header fields as they go on the wire."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, quote, urlsplit

from pipelines.providers.transport.protocol import HeaderFields

PORTS = {"http": 80, "https": 443}

_KEPT = "/%:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class Origin:
    """A server: its scheme (`http` or `https`), host (no brackets around an IPv6 address) and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port, as a proxy is told where to connect to."""
        return f"{self._bracketed}:{self.port}"

    @property
    def host_field(self) -> str:
        """The value of `Host`: the port only where it is not the scheme's own."""
        return self._bracketed if self.port == PORTS[self.scheme] else self.authority

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def origin_of(parts: SplitResult) -> Origin:
    """The server of a URL; raises `ValueError`."""
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("a URL must start with http:// or https:// and name a host")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    return Origin(parts.scheme, host, parts.port or PORTS[parts.scheme])


def split(url: str) -> tuple[Origin, str]:
    """The server and the path (with the query) of a URL; raises `ValueError`, also where it holds a user."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("a URL must hold no user and no password")
    query = f"?{quote(parts.query, safe=_KEPT + '?')}" if parts.query else ""
    return origin_of(parts), (quote(parts.path, safe=_KEPT) or "/") + query


@lru_cache
def _is_name(name: str) -> bool:
    return name.replace("-", "_").isidentifier()


def header_lines(fields: HeaderFields) -> bytes:
    """The fields as lines of a head; raises `ValueError` for what would break out of its line, or is not ASCII.

    Names are letters, digits, `-` and `_`, which is less than RFC 9110 allows.
    """
    for name, value in fields:
        if not value.isprintable() or not _is_name(name):
            raise ValueError(f"the header field {name!r} holds a control character, or has a name that none may have")
    return "".join([f"{name}: {value}\r\n" for name, value in fields]).encode("ascii")
