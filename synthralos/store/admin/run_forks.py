"""Where forked runs come from."""

import sqlalchemy as sa

from synthralos.domain.audit import Act
from synthralos.domain.jobs import Tenant
from synthralos.domain.run_forks import Fork, KeptStep
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By, Change, record
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import insert_where_none_is
from synthralos.store.sql.scoping import within
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import jobs, run_forks

_FORK = run_forks.c


class RunForks:
    """Reads and writes them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_run(self, run_id: str, scope: Scope) -> Fork | None:
        """Where the run comes from; None where it is no fork, or none of the scope."""
        query = sa.select(run_forks).where(_FORK.run_id == run_id, *within(scope, run_forks))
        with self._database.snapshot() as connection:
            row = connection.execute(query.order_by(_FORK.organization).limit(1)).first()
        if row is None:
            return None
        kept = tuple(KeptStep.from_json(each) for each in row.kept)
        return Fork(row.run_id, row.parent, row.from_step, kept, row.differs)

    def create(self, fork: Fork, tenant: Tenant, fingerprint: str, by: By) -> bool:
        """Put it on record; whether the name is the fork's: the very same one may be made again, no other."""
        mine = (_FORK.run_id == fork.run_id, _FORK.organization == tenant.organization)
        values = {
            "organization": tenant.organization,
            "run_id": fork.run_id,
            "workspace": tenant.workspace,
            "user_id": tenant.user,
            "parent": fork.parent,
            "from_step": fork.from_step,
            "kept": [step.to_json() for step in fork.kept],
            "differs": dict(fork.differs),
            "fingerprint": fingerprint,
            "created_at": utcnow(),
            "created_by": by.actor,
        }
        with self._database.transaction() as connection:
            known = connection.execute(sa.select(_FORK.fingerprint).where(*mine)).scalar()
            if known is not None:
                return bool(known == fingerprint)
            of_run = (jobs.c.run_id == fork.run_id, jobs.c.organization == tenant.organization)
            if connection.execute(sa.select(jobs.c.id).where(*of_run).limit(1)).first() is not None:
                return False
            new = connection.execute(insert_where_none_is(self._database.dialect, run_forks, values))
            if not new.rowcount:
                # Another call was first, between the look and this.
                return bool(connection.execute(sa.select(_FORK.fingerprint).where(*mine)).scalar() == fingerprint)
            told = {"parent": fork.parent, "from_step": fork.from_step, "differs": dict(fork.differs)}
            subject = f"run:{tenant.organization}/{fork.run_id}"
            record(connection, by, Change(Act.FORK_RUN, subject, None, told, tenant.organization))
        return True
