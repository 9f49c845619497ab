"""Optimistic concurrency: a version goes out as ETag, and comes back in If-Match with the change made of it."""

from typing import Annotated

from fastapi import Header

from api.http.problems import Problem, invalid_field, outdated

IfMatch = Annotated[
    str | None, Header(max_length=100, description='the version that the change was made of: `"3"`, as ETag gave it')
]


def etag(version: int) -> dict[str, str]:
    """The header that gives a version out."""
    return {"ETag": f'"{version}"'}


def expected_version(if_match: str | None) -> int | None:
    """The version that a change was made of; None: any. Raises 422 for what is no version."""
    if if_match is None or if_match.strip() == "*":
        return None
    text = if_match.strip().removeprefix("W/").strip('"')
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid_field("header.If-Match", "is no version", 'send the ETag that you got, such as "3"')
    return int(text)


def changed_meanwhile(what: str, version: int) -> Problem:
    """The 412 of a change that was made of another version."""
    return outdated(f"The {what} is at version {version} now: read it again, and send that in If-Match.")
