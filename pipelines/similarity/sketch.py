"""What is kept of a prompt so that it can be compared closely later: as much of its text as the pair model reads."""

import zlib

from pipelines.similarity.reading import MOST_CHARACTERS, excerpt

MOST_BYTES = 2_000
"""No sketch is larger."""


def sketch(text: str) -> bytes:
    """The beginning and the end of a text, compressed; at most `MOST_BYTES`."""
    most = MOST_CHARACTERS
    while len(made := zlib.compress(excerpt(text, most).encode("utf-8", "surrogatepass"), 6)) > MOST_BYTES:
        most = most * 3 // 4
    return made


def text_of(made: bytes) -> str:
    """The text that the pair model compares."""
    return zlib.decompress(made).decode("utf-8", "surrogatepass")
