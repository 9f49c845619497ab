"""What is sent about schedules, and how the answers are read. See `sending.py` for how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.sending import Call, Operation, encode, parameter, sending

SCHEDULES = "/api/v1/schedules"

Path = tuple[str, ...]
"""What comes below `/api/v1/schedules`: the id of one, what is done to it."""


def read(config: Config, path: Path, params: Mapping[str, Any]) -> Operation[Json]:
    """The answer to a GET."""
    return (yield from _answer(config, Call("GET", _url(path), params=_given(params))))


def act(config: Config, path: Path, body: Mapping[str, Any]) -> Operation[Json]:
    """Make a schedule, or do something with one. What the server may have done is not sent again."""
    return (yield from _answer(config, Call("POST", _url(path), body=encode(body), repeatable=False)))


def replace(config: Config, schedule_id: str, body: Mapping[str, Any], version: int | None) -> Operation[Json]:
    """Have a schedule be as `body` says."""
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    call = Call("PUT", _url((schedule_id,)), body=encode(body), headers=headers, repeatable=version is None)
    return (yield from _answer(config, call))


def remove(config: Config, schedule_id: str, reason: str | None) -> Operation[Json]:
    """Remove a schedule. A second DELETE would find none, so it is not sent again."""
    params = _given({"reason": reason})
    return (yield from _answer(config, Call("DELETE", _url((schedule_id,)), params=params, repeatable=False)))


def _url(path: Path) -> str:
    return "/".join([SCHEDULES, *(quote(part, safe="") for part in path)])


def _answer(config: Config, call: Call) -> Operation[Json]:
    answer: Json = (yield from sending(call, config)).json()
    return answer


def _given(params: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, parameter(value)) for name, value in params.items() if value is not None)
