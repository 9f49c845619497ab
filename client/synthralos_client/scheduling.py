"""What is sent about schedules, and how the answers are read. See `sending.py` for how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.sending import Operation

Path = tuple[str, ...]
"""What comes below `/api/v1/schedules`: the id of one, what is done to it."""

_ROOM = "schedules"


def read(config: Config, path: Path, params: Mapping[str, Any]) -> Operation[Json]:
    """The answer to a GET."""
    return configuring.read(config, (_ROOM, *path), params)


def act(config: Config, path: Path, body: Mapping[str, Any]) -> Operation[Json]:
    """Make a schedule, or do something with one; sent again after a failure, it is done once."""
    return configuring.post(config, (_ROOM, *path), body)


def replace(config: Config, schedule_id: str, body: Mapping[str, Any], version: int | None) -> Operation[Json]:
    """Have a schedule be as `body` says."""
    return configuring.put(config, (_ROOM, schedule_id), body, version=version)


def remove(config: Config, schedule_id: str, reason: str | None) -> Operation[Json]:
    """Remove a schedule. A second DELETE would find none, so it is not sent again."""
    return configuring.remove(config, (_ROOM, schedule_id), reason, repeatable=False)
