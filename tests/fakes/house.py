"""A store with jobs of any age, and retention over it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa

from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.ids import id_at
from synthralos.domain.jobs import Tenant
from synthralos.domain.observing import LATE
from synthralos.domain.retention import RULES, Days, Kind, Retention
from synthralos.domain.scope import EVERYTHING
from synthralos.domain.states import Transition
from synthralos.store.admin.audit import By
from synthralos.store.queue.thoughts import Thoughts
from synthralos.store.read import cost_parts
from synthralos.store.retention.cost_sums import CostSums
from synthralos.store.retention.digest import Digest
from synthralos.store.retention.keeping import KINDS, Keeping
from synthralos.store.retention.text_index import TextIndex
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import (
    attempts,
    export_backlog,
    job_accounts,
    jobs,
    trace_texts,
)
from tests.fakes.jobs import attempt_end, failure, new_job, settlement
from tests.fakes.stores import Store

DAY = 86_400.0
OTHER = Tenant("other", "side", None)


def days(**given: float) -> dict[Kind, float]:
    return {kind: given.get(kind, rule.days) for kind, rule in RULES.items()}


def times(own: Mapping[str, Days] | None = None, **given: float) -> Retention:
    """The defaults, but for the kinds that are given in days."""
    return Retention(days(**given), own or {})


class House:
    """A store with jobs of any age, and retention over it."""

    def __init__(self, database: Database) -> None:
        self.store = Store(database, ["one"])
        self.database = database
        self.keeping = Keeping(database)

    def finished(self, ago: float, tenant: Tenant | None = None, *, failed: bool = False, owed: bool = False) -> str:
        """A job that ended so many days ago, with all that jobs have."""
        at = datetime.now(UTC) - timedelta(days=ago, hours=1)
        made = new_job() if tenant is None else new_job(tenant=tenant)
        made = replace(made, id=id_at(at)[:-12] + made.id[-12:])
        begun = self.store.started(made)
        if failed:
            end = attempt_end(1, Outcome.FAILED, billed=Billed.NO, usage=None, cost=None)
            settled = settlement(begun, Transition.FAIL, attempt=end, failure=failure().to_json(), analyzed=True)
        else:
            settled = settlement(begun, attempt=attempt_end(1), result={"text": "Paris"}, analyzed=True)
        assert self.store.settle(settled)
        Thoughts(self.database).add(begun.id, EVERYTHING, By("agent"), "a thought")
        self.store.backdate(begun.id, finished_at=ago * DAY, created_at=ago * DAY + 2)
        self.store.update(attempts, attempts.c.job_id == begun.id, ended_at=utc_in(sa.literal(-ago * DAY)))
        if not owed:
            with self.database.transaction() as connection:
                connection.execute(sa.delete(export_backlog).where(export_backlog.c.job_id == begun.id))
        return begun.id

    def sum_up(self) -> None:
        """Have everything digested and summed that there is."""
        digest = Digest(self.database)
        digest._stretch = dict.fromkeys(digest._stretch, timedelta(days=9_999))
        digest.finish()
        while digest.round(LATE):
            pass
        TextIndex(self.database).finish()
        ends = [row["ended_at"] for row in self.store.rows(attempts)] + [self.store.now() - timedelta(hours=1)]
        for hour in {end.replace(minute=0, second=0, microsecond=0) for end in ends}:
            CostSums(self.database).sum("hour", hour)

    def run(self, kept: Retention, most: int = 5_000) -> dict[Kind, int]:
        """Remove what is due; how much of each kind."""
        return {kind: count for kind, count in self.keeping.run(kept, most) if count}

    def due(self, kept: Retention) -> dict[Kind, int]:
        """What would be removed."""
        counts = {kind: self.keeping.due(kind, kept) for kind in KINDS}
        return {kind: count for kind, count in counts.items() if count}

    def there(self, table: sa.Table) -> set[str]:
        """The ids of the jobs that a table has anything of."""
        key = table.c.id if table in (jobs, job_accounts) else table.c.job_id
        with self.database.snapshot() as connection:
            return {str(each) for each in connection.execute(sa.select(key)).scalars()}

    def words(self) -> int:
        """Jobs in the index of words."""
        with self.database.snapshot() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(trace_texts)).scalar_one())

    def spent(self) -> tuple[Decimal, int]:
        """What the ledger itself says: money and calls."""
        total, calls = Decimal(0), 0
        with self.database.report() as connection:
            for part in cost_parts.ledger():
                for row in connection.execute(part):
                    total, calls = total + row.cost_picousd, calls + row.calls
        return total, calls
