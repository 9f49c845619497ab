"""Where the jobs that call a deployment could go instead, by the plans that their calls were made under."""

from collections.abc import Collection
from datetime import timedelta

import sqlalchemy as sa

from synthralos.domain.plans import RoutingPlan
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at
from synthralos.store.tables import attempts, catalog_entries, routing_plans

WITHIN = timedelta(minutes=1)
"""How far back calls are looked at."""

_MOST = 200
"""Grounds of calls that are looked at: jobs that are alike share one."""


class Alternatives:
    """Reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def share(self, deployment: str, without: Collection[str]) -> float | None:
        """The share of its last calls whose plan has a step elsewhere, not counting deployments in `without`.

        None: it is not known, as nothing called it lately, or nobody kept the plans.
        """
        calls = self._calls(deployment)
        plans = self._plans({key for key, _ in calls})
        gone = {deployment, *without}
        known = [(plans[key], number) for key, number in calls if key in plans]
        if not known:
            return None
        elsewhere = sum(number for steps, number in known if not steps <= gone)
        return elsewhere / sum(number for _, number in known)

    def _calls(self, deployment: str) -> list[tuple[str, int]]:
        """The keys of plans, and how many calls were made under each."""
        entry = catalog_entries.c
        query = (
            sa.select(entry.key, entry.grounds, sa.func.count().label("number"))
            .join(attempts, attempts.c.entry_key == entry.key)
            .where(attempts.c.ended_at >= asked_at(sa.literal(-WITHIN.total_seconds())), entry.deployment == deployment)
            .group_by(entry.key, entry.grounds)
            .limit(_MOST)
        )
        with self._database.snapshot() as connection:
            rows = connection.execute(query).all()
        return [(row.grounds["plan_key"], row.number) for row in rows if row.grounds and row.grounds.get("plan_key")]

    def _plans(self, keys: Collection[str]) -> dict[str, set[str]]:
        """The deployments of each plan."""
        query = sa.select(routing_plans.c.key, routing_plans.c.body).where(routing_plans.c.key.in_(sorted(keys)))
        with self._database.snapshot() as connection:
            rows = connection.execute(query).all()
        return {row.key: {step.deployment for step in RoutingPlan.from_json(row.body).steps} for row in rows}
