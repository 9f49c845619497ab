"""Entries that set the books right: written beside what is there, which is never changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.costs import CostQuery, groups_of
from synthralos.domain.ids import new_id
from synthralos.domain.money import Price, Usage
from synthralos.domain.provider_bills import DAY, Bill
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.read.costs import Costs
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import catalog_entries, cost_adjustments

_EVERY_GROUP = 10_000_000


class Difference(NamedTuple):
    """Of one day and model, in USD: what it should have cost, what the books say with all earlier adjustments."""

    day: datetime
    provider: str
    model: str
    should: Decimal
    booked: Decimal
    maybe: Decimal = Decimal(0)
    organization: str = ""
    workspace: str = ""
    user: str = ""

    @property
    def amount(self) -> Decimal:
        """What has to be added to the books."""
        return self.should - self.booked


class Adjustments:
    """Compares the books with what they should be, and adjusts them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._costs = Costs(database)

    def against(self, bill: Bill) -> list[Difference]:
        """Where the ledger differs from a provider's bill, by day and model, on the days that the bill has."""
        days = sorted({day for day, _ in bill.amounts})
        known = self._models(bill.provider)
        should: dict[tuple[datetime, str], Decimal] = {}
        for (day, name), amount in bill.amounts.items():
            key = day, _ours(name or "", known) if bill.by_model else ""
            should[key] = should.get(key, Decimal(0)) + amount
        booked = self._booked(bill, days)
        keys = sorted(should.keys() | booked.keys())
        found = [(key, should.get(key, Decimal(0)), *booked.get(key, (Decimal(0), Decimal(0)))) for key in keys]
        return [
            Difference(day, bill.provider, model, paid, cost, maybe)
            for (day, model), paid, cost, maybe in found
            if paid != cost
        ]

    def at_prices(self, prices: Mapping[str, Price], since: datetime, until: datetime) -> list[Difference]:
        """What calls of whole days would have cost at other prices, by model, where that differs from the books."""
        groups = groups_of("day,provider,model,organization,workspace,user")
        rows = self._costs.rows(CostQuery(since, until, groups, limit=_EVERY_GROUP), EVERYTHING)
        found = []
        for row in rows:
            day, provider, model, organization, workspace, user = row.group
            price = prices.get(model)
            # Lost calls have no tokens, and adjustments no calls: what has neither is nothing that has a price.
            if price is None or not row.calls:
                continue
            usage = Usage(
                row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens, row.cache_write_tokens
            )
            tenant = (organization, workspace, user)
            begin = datetime.fromisoformat(day)
            cost = price.cost(usage)
            assert cost is not None  # a standard price, and nothing that was written for an hour
            found.append(Difference(begin, provider, model, cost, row.cost, row.maybe, *tenant))
        return [each for each in found if each.amount]

    def write(self, differences: Sequence[Difference], batch: str, by: By) -> int:
        """Write the adjusting entries, all at once; how many: none where this batch was written before."""
        rows = [_row(each, batch, position, by) for position, each in enumerate(differences)]
        if not rows:
            return 0
        with self._database.transaction() as connection:
            written = sa.select(cost_adjustments.c.id).where(cost_adjustments.c.batch == batch).limit(1)
            if connection.execute(written).first() is not None:
                return 0
            connection.execute(sa.insert(cost_adjustments).values(created_at=utcnow()), rows)
            total = format(sum((each.amount for each in differences), Decimal(0)), "f")
            after = {"entries": len(rows), "total_usd": total}
            record(connection, by, Change(Act.ADJUST_LEDGER, f"ledger:{batch[:16]}", None, after))
        return len(rows)

    def _booked(self, bill: Bill, days: Sequence[datetime]) -> dict[tuple[datetime, str], tuple[Decimal, Decimal]]:
        groups = groups_of("day,model" if bill.by_model else "day")
        where = {groups_of("provider")[0]: bill.provider}
        query = CostQuery(days[0], days[-1] + DAY, groups, where, limit=_EVERY_GROUP)
        found = {}
        for row in self._costs.rows(query, EVERYTHING):
            day = datetime.fromisoformat(row.group[0])
            if day in days:
                found[day, row.group[1] if bill.by_model else ""] = row.cost, row.maybe
        return found

    def _models(self, provider: str) -> dict[str, str]:
        """Our name of each model by the provider's, and by itself."""
        entry = catalog_entries.c
        query = sa.select(entry.model, entry.upstream_model).where(entry.provider == provider).distinct()
        with self._database.snapshot() as connection:
            rows = connection.execute(query).all()
        return {**{row.model: row.model for row in rows}, **{row.upstream_model: row.model for row in rows}}


def _ours(name: str, known: Mapping[str, str]) -> str:
    """Our name of a model that a bill names, perhaps with its date: `gpt-4o-2024-08-06` is of `gpt-4o`."""
    begins = [each for each in known if name == each or name.startswith(f"{each}-2")]
    return known[max(begins, key=len)] if begins else name


def _row(each: Difference, batch: str, position: int, by: By) -> dict[str, Any]:
    return {
        "id": new_id(),
        "batch": batch,
        "position": position,
        "at": each.day,
        "organization": each.organization or None,
        "workspace": each.workspace or None,
        "user_id": each.user or None,
        "provider": each.provider,
        "model": each.model,
        "amount_picousd": each.amount,
        "said": {"should_usd": format(each.should, "f"), "booked_usd": format(each.booked, "f")},
        "created_by": by.actor,
        "reason": by.reason,
    }
