"""Events as bytes, within what a data plane takes: 32 KB an event, 4 MB a request."""

from collections.abc import Sequence
from typing import Any

import orjson

from pipelines.analyze.exporters.rudderstack.contract import Event

MOST_EVENT = 30_000
"""Bytes of an event."""

MOST_BATCH = 3_500_000
"""Bytes of a request's body before it is compressed."""

_CUTS = (10_000, 3_000, 800, 200, 64)
"""Bytes of a text that are kept: as many as let the event fit."""


def encode(event: Event) -> bytes:
    """The event as JSON, of `MOST_EVENT` bytes at most: texts that are too long are cut, and named in `trimmed`."""
    whole = orjson.dumps(event)
    for most in _CUTS:
        if len(whole) <= MOST_EVENT:
            break
        said = event["properties"]
        kept = {name: _cut(value, most) for name, value in said.items()}
        kept["trimmed"] = [name for name, value in said.items() if kept[name] is not value]
        whole = orjson.dumps({**event, "properties": kept})
    return whole


def _cut(value: Any, most: int) -> Any:
    """The very same value where its texts are short enough; else with the beginnings of those that are not."""
    if isinstance(value, dict):
        inner = {name: _cut(each, most) for name, each in value.items()}
        return value if all(inner[name] is value[name] for name in value) else inner
    if not isinstance(value, str) or len(value) * _WIDEST <= most or len(orjson.dumps(value)) <= most:
        return value
    least, too_many = 0, min(len(value), most)
    while too_many - least > 1:
        middle = (least + too_many) // 2
        if len(orjson.dumps(value[:middle])) <= most:
            least = middle
        else:
            too_many = middle
    return f"{value[:least]}… [{len(value) - least} of {len(value)} characters are cut]"


_WIDEST = 6
"""Bytes that a character takes in JSON at most."""


def body(batch: Sequence[bytes], sent_at: str) -> bytes:
    """What is posted to `/v1/batch`."""
    return b'{"batch":[%b],"sentAt":"%b"}' % (b",".join(batch), sent_at.encode())
