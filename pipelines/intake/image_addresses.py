"""Addresses of images: providers fetch them, so none may lead to where only a provider's own network leads."""

import ipaddress
import re
import socket
from urllib.parse import urlsplit

_DATA = re.compile(r"data:image/[a-z0-9.+-]{1,40}(;[a-z0-9=.+-]{1,60})*;base64,", re.IGNORECASE | re.ASCII)
_INSIDE = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 in IPv6 for translators (RFC 6052)."""

_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")


def problem_with(url: str) -> str | None:
    """What is wrong with the address of an image, or None: a `data:` URL, or HTTP(S) at a host of the public web.

    Names are not looked up: who fetches is elsewhere, and sees other addresses.
    """
    if url[:5].lower() == "data:":
        return None if _DATA.match(url) else "must be data:image/…;base64,… or a web address"
    if _UNSAFE.search(url):
        return "has a blank, a backslash or a control character"
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return "must begin with https://, http:// or data:image/"
    if parts.username is not None or parts.password is not None:
        return "must hold no user and no password"
    return None if _is_public(host) else "must be an address of the public web"


def _is_public(host: str) -> bool:
    address = _address(host)
    if address is not None:
        inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
        return inner.is_global and address.is_global and not inner.is_multicast and address not in _TRANSLATED
    return "." in host and not f".{host}".endswith(_INSIDE)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is, also in the forms that the C library takes: `0x7f.1`, `2130706433`."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
