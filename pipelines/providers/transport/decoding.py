"""Compressed bodies. We ask for none, but some servers compress whatever they were asked."""

import zlib


class Undecodable(Exception):
    """The body is not what its `Content-Encoding` says, or that is unknown."""


class TooLong(Exception):
    """The decoded body is longer than allowed."""


def decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    """`body` without its `encoding`, at most `limit` bytes; raises `Undecodable` or `TooLong`.

    What does not end where it should is given as far as it goes: whether that makes sense is for its reader to say.
    """
    names = [name for part in encoding.split(b",") if (name := part.strip().lower()) not in (b"", b"identity")]
    if not names or not body:
        return body
    window = _window(names[0], body) if len(names) == 1 else None
    if window is None:
        raise Undecodable(f"the answer is encoded as {encoding.decode('latin-1')!r}, which nobody asked for")
    inflater = zlib.decompressobj(window)
    try:
        whole = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        raise Undecodable(f"the answer cannot be decompressed: {error}") from None
    if len(whole) > limit:
        raise TooLong(f"the answer is longer than {limit} bytes when decompressed")
    if not whole and not inflater.eof:
        raise Undecodable("the compressed answer ends before it begins")
    return whole


def _window(name: bytes, body: bytes) -> int | None:
    """zlib's `wbits` for an encoding. `deflate` should be zlib's format (RFC 9110, 8.4.1.2), but some send it raw."""
    if name in (b"gzip", b"x-gzip"):
        return 16 + zlib.MAX_WBITS
    if name == b"deflate":
        has_header = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
    return None
