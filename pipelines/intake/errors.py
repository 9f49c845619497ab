"""How a document is refused: each error names the field, what is wrong with it, and the remedy."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_ERRORS = 20
"""Errors that are told about one document at most."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field. `field` is a path such as `jobs[3].messages[0].content` or `query.limit`."""

    field: str
    problem: str
    remedy: str


class InvalidJob(Exception):
    """The document holds no job that could be accepted as it is. Nothing was changed."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{e.field} {e.problem}: {e.remedy}" for e in errors[:MOST_ERRORS]))
        self.errors = errors


class ForeignTenant(InvalidJob):
    """A job is for another tenant than the one that its sender may act for."""


def invalid_field(field: str, problem: str, remedy: str) -> InvalidJob:
    """What to raise about a single field."""
    return InvalidJob([FieldError(field, problem, remedy)])


def join(path: str, part: str | int) -> str:
    """The path of a member or an element of what is at `path`."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return f"{path}.{shown(part)}" if path else shown(part)


def shown(name: str) -> str:
    """A member's name as a path shows it: bounded, and without characters that a reader or a log chokes on."""
    printable = "".join(c if c.isprintable() else "?" for c in name[:64])
    return printable + ("…" if len(name) > 64 else "")
