"""How large an image in a `data:` URL is: read from its first bytes, without decoding the image.

Forms: PNG (W3C, 11.2.1 IHDR), GIF (GIF89a, 20), WebP (RFC 9649), JPEG (ITU T.81, B.1 and B.2). Of the Base64 only what
is looked at is decoded, so that an image of 20 MB costs microseconds.
"""

import base64
import binascii
from typing import NamedTuple

_SEGMENTS = 400
"""Segments of a JPEG that are skipped in search of its size: a photograph has about ten, a long color profile 255."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that begin a frame, in whose header the size stands."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers of JPEG that nothing belongs to."""


class Size(NamedTuple):
    """In pixels, each at least 1."""

    width: int
    height: int


def size_of(url: str) -> Size | None:
    """The size of the image in a `data:` URL; None for one on the web, and where its header cannot be read."""
    if url[:5].lower() != "data:":
        return None
    comma = url.find(",", 0, 400)
    if comma < 0:
        return None
    image = _Encoded(url, comma + 1)
    head = image.read(0, 30)
    found: Size | None = None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        found = Size(int.from_bytes(head[16:20]), int.from_bytes(head[20:24]))
    elif head.startswith((b"GIF87a", b"GIF89a")):
        found = Size(int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little"))
    elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        found = _webp(head)
    elif head.startswith(b"\xff\xd8"):
        found = _jpeg(image)
    return found if found and min(found) > 0 else None


class _Encoded:
    """Base64 from a place in a text on."""

    def __init__(self, text: str, begin: int) -> None:
        self._text, self._begin = text, begin

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset` on, fewer at the end; none where this is no Base64."""
        first = offset // 3
        last = -(-(offset + count) // 3)
        piece = self._text[self._begin + 4 * first : self._begin + 4 * last]
        try:
            found = base64.b64decode(piece + "=" * (-len(piece) % 4), validate=True)
        except (binascii.Error, ValueError):
            return b""
        return found[offset - 3 * first :][:count]


def _webp(head: bytes) -> Size | None:
    kind = head[12:16]
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return Size(int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF)
    if kind == b"VP8L" and head[20:21] == b"\x2f":
        bits = int.from_bytes(head[21:25], "little")
        return Size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8X" and len(head) == 30:
        return Size(1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little"))
    return None


def _jpeg(image: _Encoded) -> Size | None:
    """From marker to marker; a height of 0 stands elsewhere (B.2.5), and is not looked for."""
    place = 2
    for _ in range(_SEGMENTS):
        found = image.read(place, 9)
        if len(found) < 2 or found[0] != 0xFF:
            return None
        marker = found[1]
        if marker == 0xFF:  # any number of these may stand before a marker
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _FRAMES:
            return Size(int.from_bytes(found[7:9]), int.from_bytes(found[5:7])) if len(found) == 9 else None
        elif len(found) < 4 or (length := int.from_bytes(found[2:4])) < 2:
            return None
        else:
            place += 2 + length
    return None
