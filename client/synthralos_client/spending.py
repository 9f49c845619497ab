"""What was spent: `Client.spending`, `AsyncClient.spending`. Money is decimal text in US dollars, exact."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from synthralos_client import configuring
from synthralos_client.config import Config
from synthralos_client.models import Json
from synthralos_client.paging import async_pages, pages
from synthralos_client.sending import Operation, parameter

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
    api_key: str
    tag: str
    kind: str
    basis: str


class BudgetFields(TypedDict, total=False):
    """What a budget may say besides its name, `per`, `period` and limit; docs/budgets.md explains it."""

    at_limit: Literal["park", "deny", "cheaper"]
    organization: str
    workspace: str
    user: str
    api_key: str
    alerts: Sequence[int]
    reason: str


class Spending:
    """Costs and budgets. The answers are the server's JSON objects."""

    def __init__(self, config: Config, run: Run) -> None:
        self._config = config
        self._run = run

    def costs(
        self, group_by: Sequence[str] = (), *, page_size: int = 1000, **filters: Unpack[CostFilters]
    ) -> Iterator[Json]:
        """What calls took and cost, by groups such as `model`, `day` and `tag:project`, page by page.

        Without a time: of the last 30 days.
        """
        return pages(lambda cursor: self._run(_costs(self._config, group_by, filters, page_size, cursor)), "costs")

    def budgets(self) -> list[Json]:
        """The budgets that this key may see, without what was used of them."""
        found: list[Json] = self._run(configuring.read(self._config, ("budgets",), {}))["budgets"]
        return found

    def budget(self, budget_id: str) -> Json:
        """One budget, with what was used of it in the present period (`uses`)."""
        return self._run(configuring.read(self._config, ("budgets", budget_id), {}))

    def create_budget(
        self, name: str, per: str, period: str, limit_usd: Decimal | str, **fields: Unpack[BudgetFields]
    ) -> Json:
        """Make a budget: so much for each `per` in each `period`."""
        return self._run(configuring.post(self._config, ("budgets",), _budget(name, per, period, limit_usd, fields)))

    def replace_budget(
        self, budget_id: str, name: str, per: str, period: str, limit_usd: Decimal | str, **fields: Unpack[BudgetFields]
    ) -> Json:
        """Replace a budget; what was used of it stays."""
        body = _budget(name, per, period, limit_usd, fields)
        return self._run(configuring.put(self._config, ("budgets", budget_id), body))

    def raise_budget(self, budget_id: str, limit_usd: Decimal | str, until: datetime | str, reason: str) -> Json:
        """Give a budget another limit until a time."""
        return self._run(
            configuring.post(self._config, ("budgets", budget_id, "raise"), _raise(limit_usd, until, reason))
        )

    def remove_budget(self, budget_id: str, *, reason: str = "") -> Json:
        """Remove a budget, and what was counted for it; the answer is as it was."""
        return self._run(configuring.remove(self._config, ("budgets", budget_id), reason or None))


class AsyncSpending:
    """The same for `AsyncClient`; see `Spending`."""

    def __init__(self, config: Config, run: AsyncRun) -> None:
        self._config = config
        self._run = run

    def costs(
        self, group_by: Sequence[str] = (), *, page_size: int = 1000, **filters: Unpack[CostFilters]
    ) -> AsyncIterator[Json]:
        """What calls took and cost; see `Spending.costs`."""
        return async_pages(
            lambda cursor: self._run(_costs(self._config, group_by, filters, page_size, cursor)), "costs"
        )

    async def budgets(self) -> list[Json]:
        """The budgets that this key may see, without what was used of them."""
        found: list[Json] = (await self._run(configuring.read(self._config, ("budgets",), {})))["budgets"]
        return found

    async def budget(self, budget_id: str) -> Json:
        """One budget, with what was used of it in the present period (`uses`)."""
        return await self._run(configuring.read(self._config, ("budgets", budget_id), {}))

    async def create_budget(
        self, name: str, per: str, period: str, limit_usd: Decimal | str, **fields: Unpack[BudgetFields]
    ) -> Json:
        """Make a budget: so much for each `per` in each `period`."""
        return await self._run(
            configuring.post(self._config, ("budgets",), _budget(name, per, period, limit_usd, fields))
        )

    async def replace_budget(
        self, budget_id: str, name: str, per: str, period: str, limit_usd: Decimal | str, **fields: Unpack[BudgetFields]
    ) -> Json:
        """Replace a budget; what was used of it stays."""
        body = _budget(name, per, period, limit_usd, fields)
        return await self._run(configuring.put(self._config, ("budgets", budget_id), body))

    async def raise_budget(self, budget_id: str, limit_usd: Decimal | str, until: datetime | str, reason: str) -> Json:
        """Give a budget another limit until a time."""
        return await self._run(
            configuring.post(self._config, ("budgets", budget_id, "raise"), _raise(limit_usd, until, reason))
        )

    async def remove_budget(self, budget_id: str, *, reason: str = "") -> Json:
        """Remove a budget, and what was counted for it; the answer is as it was."""
        return await self._run(configuring.remove(self._config, ("budgets", budget_id), reason or None))


def _costs(
    config: Config, group_by: Sequence[str], filters: Mapping[str, Any], page_size: int, cursor: str | None
) -> Operation[Json]:
    params = {"group_by": ",".join(group_by), **filters, "limit": page_size, "cursor": cursor}
    return configuring.read(config, ("costs",), params)


def _budget(name: str, per: str, period: str, limit_usd: Decimal | str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": name, "per": per, "period": period, "limit_usd": str(limit_usd), **fields}


def _raise(limit_usd: Decimal | str, until: datetime | str, reason: str) -> Mapping[str, Any]:
    return {"limit_usd": str(limit_usd), "until": parameter(until), "reason": reason}
