"""What was spent: `Client.spending`, `AsyncClient.spending`. Money is decimal text in US dollars, exact."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.sending import Operation

if TYPE_CHECKING:
    from typing_extensions import Unpack

Run = Callable[[Operation[Json]], Json]
AsyncRun = Callable[[Operation[Json]], Awaitable[Json]]


class CostFilters(TypedDict, total=False):
    """Which costs: all conditions that are given have to hold. Times are when calls ended; `tag` is `NAME=VALUE`."""

    since: datetime | str
    until: datetime | str
    organization: str
    workspace: str
    user: str
    model: str
    deployment: str
    provider: str
    run: str
    tag: str
    kind: str
    basis: str


class Spending:
    """Costs. The answers are the server's JSON objects."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def costs(
        self, group_by: Sequence[str] = (), *, page_size: int = 1000, **filters: Unpack[CostFilters]
    ) -> Iterator[Json]:
        """What calls took and cost, by groups such as `model`, `day` and `tag:project`, page by page.

        Without a time: of the last 30 days.
        """
        cursor: str | None = None
        while True:
            page = self._run(_costs(self._config, group_by, filters, page_size, cursor))
            yield from page["costs"]
            cursor = page["next"]
            if cursor is None:
                return


class AsyncSpending:
    """The same for `AsyncClient`; see `Spending`."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    async def costs(
        self, group_by: Sequence[str] = (), *, page_size: int = 1000, **filters: Unpack[CostFilters]
    ) -> AsyncIterator[Json]:
        """What calls took and cost; see `Spending.costs`."""
        cursor: str | None = None
        while True:
            page = await self._run(_costs(self._config, group_by, filters, page_size, cursor))
            for group in page["costs"]:
                yield group
            cursor = page["next"]
            if cursor is None:
                return


def _costs(
    config: Config, group_by: Sequence[str], filters: Mapping[str, Any], page_size: int, cursor: str | None
) -> Operation[Json]:
    params = {"group_by": ",".join(group_by), **filters, "limit": page_size, "cursor": cursor}
    return configuring.read(config, ("costs",), params)
