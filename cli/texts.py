"""Text of strangers on one's own terminal."""

import unicodedata


def printable(text: str) -> str:
    """The text without control characters: what a model wrote must not move the cursor or set a title."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(c) else c for c in text)


def one_line(text: str) -> str:
    """The text on one line, without control characters."""
    return " ".join(printable(text).split())


def shorten(text: str, length: int) -> str:
    """The text on one line of at most `length` characters."""
    flat = one_line(text)
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) == "Cc" and character not in "\n\t"
