"""How a search goes through finished jobs: few of them are put in order, many are walked in their order, up to a bound.

So no question costs more than its bound, however many jobs there are. A walk that comes to its bound before a page is
full ends there, and the next page goes on.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.scope import Scope
from synthralos.domain.trace_queries import Sort, Wanted
from synthralos.store.read.search_parts import cost_and_seconds, said, times_of_ids
from synthralos.store.sql.database import let_look_up, let_walk
from synthralos.store.sql.types import Id, id_text
from synthralos.store.tables import feedback, jobs, trace_facts

FEW = 5_000
"""Jobs that are put in order; of more, those are looked for in their order."""

MOST_WALKED = 50_000
"""Jobs whose figures one page looks at; those of one tenant, or in another order than their own, are far apart."""

MOST_READ = 10_000
"""Jobs whose words one page looks at; or their figures, where they are far apart."""

_fact = trace_facts.c
_VALUES = {Sort.COST: _fact.cost_picousd, Sort.DURATION: _fact.seconds}

Conditions = list[sa.ColumnElement[bool]]


class Place(NamedTuple):
    """A place in an order: the value that it goes by (None: by the id alone), and the job's id."""

    value: Any
    job_id: str


class Spine(NamedTuple):
    """An index that has jobs in the order of their ids: of which table, and what it has besides the order."""

    job_id: Any
    conditions: Sequence[sa.ColumnElement[bool]] = ()

    @property
    def of_facts(self) -> bool:
        """Whether it leads to the facts themselves."""
        return self.job_id.table is trace_facts

    def among(self, query: "sa.Select[Any]", bounds: Conditions) -> "sa.Select[Any]":
        """The query on facts, of those within these bounds of its ids: found first, where another table has them."""
        if self.of_facts:
            return query.where(*bounds)
        ids = sa.select(self.job_id.label("job_id")).distinct().where(*self.conditions, *bounds)
        chosen = ids.cte("chosen").prefix_with("MATERIALIZED", dialect="postgresql")
        return query.join_from(trace_facts, chosen, chosen.c.job_id == _fact.job_id)


def organization_of(wanted: Wanted, scope: Scope) -> str | None:
    """The only one whose jobs can be wanted."""
    return wanted.organization or scope.organization


def spine_of(wanted: Wanted, scope: Scope) -> Spine:
    """The index with the fewest jobs that have what is wanted."""
    organization = organization_of(wanted, scope)
    workspace, user = wanted.workspace or scope.workspace, wanted.user or scope.user
    if wanted.run_id is not None:
        return Spine(jobs.c.id, [jobs.c.run_id == wanted.run_id])
    if told := said(wanted):
        return Spine(feedback.c.job_id, told)
    if user is not None:
        return Spine(jobs.c.id, [jobs.c.user_id == user])
    if organization is not None and workspace is not None:
        return Spine(jobs.c.id, [jobs.c.organization == organization, jobs.c.workspace == workspace])
    return Spine(_fact.job_id, [] if organization is None else [_fact.organization == organization])


class Walk:
    """The order of a search, and how far one page of it goes."""

    def __init__(self, wanted: Wanted, scope: Scope) -> None:
        self._wanted = wanted
        self._spine = spine_of(wanted, scope)
        self._value = _VALUES.get(wanted.sort)
        self.end: Place | None = None

    def bounded(self, connection: sa.Connection, query: "sa.Select[Any]") -> "sa.Select[Any]":
        """The query on facts, of so many jobs as one page looks at; `end` is the last of them where there are more.

        It leaves the connection as it is best for this query (`let_walk`, `let_look_up`).
        """
        times = times_of_ids(self._wanted, self._spine.job_id)
        if self._value is not None and self._is_few(connection):
            let_look_up(connection)
            return self._spine.among(query, times)
        self.end = self._look_ahead(connection)
        query = query.where(*self._until())
        if self._value is not None or self._spine.of_facts:
            let_walk(connection)
            return query
        let_look_up(connection)
        job_id = self._spine.job_id
        return self._spine.among(query, [*times, *self._after(job_id), *self._until(job_id)])

    def ordered(self, query: "sa.Select[Any]") -> "sa.Select[Any]":
        """The page of the query on facts, and one more."""
        keys = [_fact.job_id] if self._value is None else [self._value, _fact.job_id]
        return query.where(*self._after()).order_by(*(key.desc() for key in keys)).limit(self._wanted.limit + 1)

    def _most(self) -> int:
        """How many jobs one page looks at."""
        together = self._value is None and not self._spine.conditions
        if self._wanted.search is None:
            return MOST_WALKED if together else MOST_READ
        return MOST_READ if together else (MOST_READ + 1) // 2

    def _is_few(self, connection: sa.Connection) -> bool:
        job_id = self._spine.job_id
        query = sa.select(job_id).where(*self._spine.conditions, *times_of_ids(self._wanted, job_id))
        return connection.execute(query.order_by(job_id.desc()).offset(FEW).limit(1)).first() is None

    def _look_ahead(self, connection: sa.Connection) -> Place | None:
        if self._value is None:
            job_id = self._spine.job_id
            conditions = [*self._spine.conditions, *times_of_ids(self._wanted, job_id), *self._after(job_id)]
            query = sa.select(sa.null(), id_text(job_id)).where(*conditions).order_by(job_id.desc())
        else:
            query = sa.select(self._value, id_text(_fact.job_id)).where(*cost_and_seconds(self._wanted), *self._after())
            query = query.order_by(self._value.desc(), _fact.job_id.desc())
        row = connection.execute(query.offset(self._most() - 1).limit(1)).first()
        return None if row is None else Place(*row)

    def _after(self, job_id: Any = _fact.job_id) -> Conditions:
        return [] if self._wanted.after is None else [self._key(job_id) < self._literal(*self._wanted.after)]

    def _until(self, job_id: Any = _fact.job_id) -> Conditions:
        return [] if self.end is None else [self._key(job_id) >= self._literal(*self.end)]

    def _key(self, job_id: Any) -> Any:
        return job_id if self._value is None else sa.tuple_(self._value, job_id)

    def _literal(self, value: Any, job_id: str) -> Any:
        named = sa.literal(job_id, Id)
        return named if self._value is None else sa.tuple_(sa.literal(value, self._value.type), named)
