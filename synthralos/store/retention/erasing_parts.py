"""What the steps of an erasure are made of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.scope import Scope
from synthralos.store.sql.scoping import within


class Subject(NamedTuple):
    """Whom an erasure is about. `key` is what pseudonyms are made with; what came after `id` is none of it."""

    id: str
    scope: Scope
    key: str

    @property
    def organization(self) -> str:
        """The organization, which every erasure names."""
        assert self.scope.organization is not None
        return self.scope.organization

    @property
    def whole(self) -> bool:
        """Whether it is about all of the organization."""
        return self.scope.workspace is None and self.scope.user is None

    def of(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The conditions on a table with a tenant's columns; what a table does not tell apart is left alone."""
        told = {"workspace": self.scope.workspace, "user_id": self.scope.user}
        if any(value is not None and name not in table.c for name, value in told.items()):
            return [sa.false()]
        return within(self.scope, table)


class Piece(NamedTuple):
    """What one act erased, whether there may be more of it, from where on, and the jobs that are gone.

    `blocked`: there is more, and jobs that are open again have to end first.
    """

    counts: Mapping[str, int]
    more: bool
    place: Any = None
    job_ids: Sequence[str] = ()
    blocked: bool = False


Act = Callable[[sa.Connection, Subject, int, Any], Piece]


class Step(NamedTuple):
    """A name that people see, and what is done."""

    name: str
    act: Act


def forget(*tables: sa.Table) -> Act:
    """Delete what tables hold of the subject."""

    def act(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
        counts: dict[str, int] = {}
        more = False
        for table in tables:
            piece = delete_some(connection, table, subject.of(table), most)
            counts.update(piece.counts)
            more = more or piece.more
        return Piece(counts, more)

    return act


def delete_some(
    connection: sa.Connection, table: sa.Table, which: Iterable[sa.ColumnElement[bool]], most: int
) -> Piece:
    """Delete at most `most` rows of a table that fulfil conditions."""
    key = list(table.primary_key.columns)
    some = sa.select(*key).where(*which).limit(most)
    chosen = (sa.tuple_(*key) if len(key) > 1 else key[0]).in_(some)
    count = connection.execute(sa.delete(table).where(chosen)).rowcount
    return Piece({table.name: count}, count == most)


def of_whole(table: sa.Table) -> Act:
    """Delete what a table holds of an organization, where all of it is erased."""

    def act(connection: sa.Connection, subject: Subject, most: int, _: Any) -> Piece:
        if not subject.whole:
            return Piece({}, False)
        return delete_some(connection, table, [table.c.organization == subject.organization], most)

    return act
