"""What is sent to see and change the configuration, and how the answers are read. See `sending.py` for how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.sending import Call, Operation, encode, new_key, parameter, sending

API = "/api/v1"


Path = tuple[str, ...]
"""What comes below `/api/v1`: a kind of things, the name of one, what is done to it."""


def read(config: Config, path: Path, params: Mapping[str, Any]) -> Operation[Json]:
    """The answer to a GET."""
    return (yield from _answer(config, Call("GET", _url(path), params=_given(params))))


def put(
    config: Config, path: Path, body: Mapping[str, Any], reason: str | None = None, version: int | None = None
) -> Operation[Json]:
    """Have something be as `body` says; twice is once. With a `version`, only where it is at that one: not twice."""
    params, first = _given({"reason": reason}), version is None
    call = Call("PUT", _url(path), params=params, body=encode(body), headers=_made_of(version), repeatable=first)
    return (yield from _answer(config, call))


def post(config: Config, path: Path, body: Mapping[str, Any], *, repeatable: bool = True) -> Operation[Json]:
    """Make something, or have something tried: under a key of this call's own, so that what is sent again is made once.

    `repeatable`: whether it is sent again where an answer is lost; what shows a secret is not.
    """
    headers = {"Idempotency-Key": new_key()}
    return (
        yield from _answer(config, Call("POST", _url(path), body=encode(body), headers=headers, repeatable=repeatable))
    )


def remove(
    config: Config,
    path: Path,
    reason: str | None = None,
    version: int | None = None,
    *,
    repeatable: bool = True,
    **named: str | None,
) -> Operation[Json]:
    """Take something away, or set it back to its default; twice is once. For `version` see `put`; `named` goes into
    the query."""
    params, first = _given({"reason": reason, **named}), version is None and repeatable
    call = Call("DELETE", _url(path), params=params, headers=_made_of(version), repeatable=first)
    return (yield from _answer(config, call))


def _made_of(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}


def _url(path: Path) -> str:
    return "/".join([API, *(quote(part, safe="") for part in path)])


def _answer(config: Config, call: Call) -> Operation[Json]:
    answer: Json = (yield from sending(call, config)).json()
    return answer


def _given(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, parameter(value)) for name, value in params.items() if value is not None)
