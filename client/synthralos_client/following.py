"""Following an event stream over as many connections as it takes; see `events.EventReader`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import httpx

from synthralos_client.config import Config
from synthralos_client.events import EventReader
from synthralos_client.models import Event


def follow(http: httpx.Client, config: Config, reader: EventReader) -> Iterator[Event]:
    """The events of a stream. One that breaks is resumed where it broke."""
    while not reader.ended:
        try:
            with http.stream(**reader.call().arguments(config)) as response:
                if response.is_success:
                    for chunk in response.iter_bytes():
                        yield from reader.feed(chunk)
                        if reader.ended:
                            return
                    pause = reader.broken(None)
                else:
                    response.read()
                    pause = reader.refused(response)
        except httpx.RequestError as error:
            pause = reader.broken(error)
        time.sleep(pause.seconds)


async def follow_async(http: httpx.AsyncClient, config: Config, reader: EventReader) -> AsyncIterator[Event]:
    """The same for a client that awaits."""
    while not reader.ended:
        try:
            async with http.stream(**reader.call().arguments(config)) as response:
                if response.is_success:
                    async for chunk in response.aiter_bytes():
                        for event in reader.feed(chunk):
                            yield event
                        if reader.ended:
                            return
                    pause = reader.broken(None)
                else:
                    await response.aread()
                    pause = reader.refused(response)
        except httpx.RequestError as error:
            pause = reader.broken(error)
        await asyncio.sleep(pause.seconds)
