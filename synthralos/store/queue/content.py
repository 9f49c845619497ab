"""Rows that are named by their content, and so stored once for all jobs that share them.

A routing plan explains itself (every deployment that was excluded, and why), so it is the largest thing that routing
writes; but jobs that are alike share it, and keep its key and their cursor in it. An attempt keeps the key of the
catalog's entry, with the price and the residency, that it was called under, of the grounds that it was called on, and
of the name of the credential that it was called with.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import orjson
import sqlalchemy as sa

from synthralos.domain.deployments import Deployment
from synthralos.domain.evidence import Grounds
from synthralos.domain.money import Price, PriceUsed, ServiceTier
from synthralos.domain.plans import RoutingPlan
from synthralos.domain.writes import Start
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import Columns, Row, encode_rows, insert_ignoring, recordset
from synthralos.store.sql.types import encode_json, utcnow
from synthralos.store.tables import catalog_entries, routing_plans

_REMEMBERED = 4096

Content = TypeVar("Content")


class Contents(Generic[Content]):
    """Writes the rows of one table that the database does not have yet."""

    def __init__(self, database: Database, table: sa.Table, row: Callable[[Content], Row]) -> None:
        """`row` makes a row of a content; only of those that are new, because a plan may have some kilobytes."""
        self._database = database
        self._row = row
        columns: Columns = {
            column.name: column.type if isinstance(column.type, sa.Boolean) else sa.Text()
            for column in table.c
            if column.name != "created_at"
        }
        rows = recordset(database.dialect, "rows", columns)
        select = sa.select(*(rows.c[name] for name in columns), utcnow())
        self._insert = insert_ignoring(database.dialect, table, [*columns, "created_at"], select)
        self._stored: set[str] = set()
        self._lock = threading.Lock()

    def store(self, wanted: Mapping[str, Content]) -> None:
        """Store the contents that are not known to be there, by key. A row without a job does no harm."""
        new = sorted(wanted.keys() - self._stored)
        if not new:
            return
        # In one order everywhere, so that two processes with the same rows cannot wait for each other.
        with self._database.one_statement() as connection:
            connection.execute(self._insert, {"rows": encode_rows(self._row(wanted[key]) for key in new)})
        self._remember(new)

    def _remember(self, keys: Collection[str]) -> None:
        with self._lock:
            if len(self._stored) + len(keys) > _REMEMBERED:
                self._stored = set()
            self._stored |= set(keys)


class StoredPlans:
    """Routing plans, each stored once for all jobs that share it."""

    def __init__(self, database: Database) -> None:
        self._contents = Contents(database, routing_plans, _plan)

    def store(self, plans: Iterable[RoutingPlan | None]) -> None:
        """Store the plans that are not known to be there."""
        self._contents.store({plan.key: plan for plan in plans if plan is not None})


def _plan(plan: RoutingPlan) -> Row:
    return {"key": plan.key, "body": encode_json(plan.body())}


class CatalogEntries:
    """Deployments as they were described and priced when they were called, and what the calls were made under."""

    def __init__(self, database: Database) -> None:
        self._contents = Contents(database, catalog_entries, _entry)
        self._keys: dict[tuple[str, Grounds | None, str | None], tuple[Deployment, str]] = {}

    def key(self, start: Start) -> str:
        """The key of the call's entry."""
        deployment, alike = start.deployment, (start.deployment.id, start.grounds, start.credential)
        known = self._keys.get(alike)
        if known is None or known[0] is not deployment:
            if len(self._keys) >= _REMEMBERED:
                self._keys = {}
            known = self._keys[alike] = (deployment, _entry(start)["key"])
        return known[1]

    def store(self, starts: Iterable[Start]) -> None:
        """Store the entries that are not known to be there."""
        self._contents.store({self.key(start): start for start in starts})


def _entry(start: Start) -> dict[str, Any]:
    deployment, grounds = start.deployment, start.grounds
    price = None if deployment.price is None else standard_price(deployment.price).to_json()
    row = {
        "deployment": deployment.id,
        "provider": deployment.provider,
        "model": deployment.model,
        "upstream_model": deployment.upstream_model,
        "region": deployment.region,
        "price": None if price is None else encode_json(price),
        "residency": deployment.residency,
        "zero_retention": deployment.zero_retention,
        "grounds": None if grounds is None else encode_json(grounds.to_json()),
        "credential": start.credential,
    }
    return {"key": blake2b(orjson.dumps(row), digest_size=8).hexdigest(), **row}


def standard_price(price: Price) -> PriceUsed:
    """What the books say of a price: the standard tier's for short prompts. An attempt may have another of its own."""
    return PriceUsed(price.tariffs[ServiceTier.STANDARD].rates, price.as_of, price.valid_from)


class PlanShelf:
    """Reads stored plans, and remembers them: a plan never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._plans: dict[str, RoutingPlan] = {}

    def plans(self, keys: Iterable[str | None]) -> dict[str, RoutingPlan]:
        """The plans of these keys, at their first step."""
        known = self._plans
        wanted = {key for key in keys if key is not None}
        missing = wanted - known.keys()
        if missing:
            query = sa.select(routing_plans.c.key, routing_plans.c.body).where(routing_plans.c.key.in_(missing))
            with self._database.snapshot() as connection:
                found = {key: RoutingPlan.from_json(body, key) for key, body in connection.execute(query)}
            known = {**known, **found}
            self._plans = known if len(known) <= _REMEMBERED else {}
        return {key: known[key] for key in wanted if key in known}
