"""Lists that come page by page: each page's `next` is the cursor of the following one, null at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from synthralos_client.models import Json


def pages(read: Callable[[str | None], Json], member: str) -> Iterator[Json]:
    """What the pages hold in `member`, one by one; `read` gets the page of a cursor, None: the first."""
    cursor: str | None = None
    while True:
        page = read(cursor)
        yield from page[member]
        cursor = page["next"]
        if cursor is None:
            return


async def async_pages(read: Callable[[str | None], Awaitable[Json]], member: str) -> AsyncIterator[Json]:
    """The same for a client that awaits; see `pages`."""
    cursor: str | None = None
    while True:
        page = await read(cursor)
        for each in page[member]:
            yield each
        cursor = page["next"]
        if cursor is None:
            return
