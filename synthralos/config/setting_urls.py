"""URLs in settings, checked wholly before anything connects. No message repeats a URL: it may hold a password."""

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"\[[0-9A-Fa-f:.]+(%[\w.-]+)?\]|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_AUTHORITY = re.compile(r"(?P<scheme>[^:/?#]+://)(?P<hosts>[^/?#]*)(?P<rest>.*)")
_SPACE = re.compile(r"\s|[\x00-\x1f\x7f]")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

ENCODED = "write special characters of a user or a password in percent form (%40 for @, %23 for #, %2F for /)"


def checked_url(url: str, schemes: Sequence[str], *, hosts_by_comma: bool = False) -> SplitResult:
    """The parts of a URL with one of `schemes` (`name` or `name+driver`); raises `ValueError`, which says what to do.

    `hosts_by_comma`: several hosts may stand where one does, as PostgreSQL allows.
    """
    if _SPACE.search(url):
        raise ValueError(f"must hold no spaces or control characters: {ENCODED}")
    if _LONE_PERCENT.search(url):
        raise ValueError(f"holds a % that begins no percent form: write %25, and {ENCODED}")
    parts = _split(url, hosts_by_comma)
    if parts is None:
        raise ValueError(f"has brackets that hold no IPv6 address: {ENCODED}")
    if parts.scheme.split("+")[0] not in schemes:
        raise ValueError("must start with " + " or ".join(f"{scheme}://" for scheme in schemes))
    if "@" not in parts.netloc and "@" in parts.path + parts.fragment:
        raise ValueError(f"has an @ behind its host: {ENCODED}")
    if parts.fragment:
        raise ValueError(f"holds a #: {ENCODED}")
    places = parts.netloc.rpartition("@")[2]
    for place in places.split(",") if hosts_by_comma else [places]:
        _check_place(place)
    return parts


def _split(url: str, hosts_by_comma: bool) -> SplitResult | None:
    """The parts; None where brackets stand wrongly. Some Pythons take brackets only for the first of several hosts."""
    try:
        return urlsplit(url)
    except ValueError:
        found = _AUTHORITY.fullmatch(url)
        if found is None or not hosts_by_comma or "," not in found["hosts"]:
            return None
        return urlsplit(f"{found['scheme']}host{found['rest']}")._replace(netloc=found["hosts"])


def _check_place(place: str) -> None:
    """A host and its port, each of which may be missing."""
    host, colon, port = place.rpartition(":") if re.search(r":[^\]]*$", place) else (place, "", "")
    if host and not _HOST.fullmatch(host):
        raise ValueError(f"names no host: {ENCODED}")
    if colon and not (port.isdecimal() and port.isascii() and 1 <= int(port) <= 65535):
        raise ValueError("must have a port from 1 to 65535, or none")


def checked_address(address: str) -> str:
    """An address or a host name to listen on; raises `ValueError`."""
    bare = f"[{address}]" if ":" in address else address
    if not _HOST.fullmatch(bare):
        raise ValueError("must be an address or a host name, such as 127.0.0.1, ::1 or 0.0.0.0 for every address")
    return address
