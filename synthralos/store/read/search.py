"""Traces that are searched: finished jobs by an index, and open ones, or those that are in none yet, as they are.

The index is filled by the leader in the background (`store/retention`), so nothing here is the hot path's business.
What is not in it is looked at directly, the newest first, up to a bound; an answer says how far it goes.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY

from synthralos.domain.ids import trace_id_of
from synthralos.domain.observing import FINISHED, TEXTS
from synthralos.domain.scope import Scope
from synthralos.domain.search import Search, Term
from synthralos.domain.states import Stage
from synthralos.domain.trace_queries import Found, Match, Sort, Wanted
from synthralos.store.read.finished import fact_of
from synthralos.store.read.search_parts import FACTS, Candidates, facts_where
from synthralos.store.sql.database import Database
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import id_text, utcnow
from synthralos.store.tables import digests, results, trace_facts, trace_texts

FEW = 10_000
"""Documents that are taken from the index of words and put in order; of more, those are looked for in their order."""


SURELY_MANY = 3 * FEW // 2
"""Of so many, by PostgreSQL's statistics of words, no few are asked for: it would find all of them first."""

_ESTIMATE = sa.text(
    "EXPLAIN (FORMAT JSON) SELECT seq FROM trace_texts WHERE document @@ CAST(CAST(:words AS text) AS tsquery)"
)


class TraceSearch:
    """Searches within a scope, on connections with a time limit of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._candidates = Candidates(database.dialect)
        self._seqs = recordset(database.dialect, "seqs", {"seq": sa.BigInteger()})

    def find(self, wanted: Wanted, scope: Scope) -> Found:
        """A page of matches in their order; of a trace with several, the first."""
        with self._database.searching() as connection:
            places = {row.name: row for row in connection.execute(sa.select(digests))}
            indexed, last = self._indexed(connection, wanted, scope)
            beside, complete = self._beside(connection, wanted, scope, places)
        # What comes behind the last of a full page is the next page's.
        beside = [match for match in beside if last is None or match.place > last.place]
        page = sorted({match.job_id: match for match in [*indexed, *beside]}.values(), key=lambda m: m.place)[::-1]
        if len(page) > wanted.limit:
            page = page[: wanted.limit]
            last = page[-1]
        texts = places.get(TEXTS)
        return Found(
            _each_trace_once(page),
            None if last is None else (last.value, last.job_id),
            complete,
            None if texts is None else texts.until,
        )

    def _indexed(self, connection: sa.Connection, wanted: Wanted, scope: Scope) -> tuple[list[Match], Match | None]:
        """Those among the digested jobs, and the last one that was looked at where there are more.

        A job that was retried since is left out: it is open.
        """
        if wanted.stage not in (None, Stage.ANALYZE):
            return [], None
        query = sa.select(*FACTS).where(*facts_where(wanted, scope))
        parameters = {}
        if wanted.search is not None:
            few = self._few(connection, wanted.search)
            if few is None:
                query = query.join_from(trace_facts, trace_texts, _text_key(connection) == trace_facts.c.seq)
                query = query.where(contains(connection.dialect.name, wanted.search))
            else:
                parameters = {"seqs": encode_rows({"seq": seq} for seq in few)}
                query = query.join_from(trace_facts, self._seqs, self._seqs.c.seq == trace_facts.c.seq)
        query = _ordered(query, wanted).limit(wanted.limit + 1)
        matches = [_match(row, wanted.sort) for row in connection.execute(query, parameters)]
        last = matches[wanted.limit - 1] if len(matches) > wanted.limit else None
        over = _that_are_over(connection, [match.job_id for match in matches])
        return [match for match in matches[: wanted.limit] if match.job_id in over], last

    def _few(self, connection: sa.Connection, search: Search) -> list[int] | None:
        """The documents with these words, where they are few.

        PostgreSQL does not know how rare a rare word is: in search of the newest it would go through all jobs.
        """
        if connection.dialect.name == "postgresql":
            [plan] = connection.execute(_ESTIMATE, {"words": _tsquery(search)}).scalar_one()
            if plan["Plan"]["Plan Rows"] > SURELY_MANY:
                return None
        key = _text_key(connection).label("seq")
        query = sa.select(key).select_from(trace_texts).where(contains(connection.dialect.name, search))
        found = list(connection.execute(query.limit(FEW + 1)).scalars())
        return found if len(found) <= FEW else None

    def _beside(self, connection: sa.Connection, wanted: Wanted, scope: Scope, places: Any) -> tuple[list[Match], bool]:
        """Those among the newest jobs that no index has; whether all of these were looked at."""
        if wanted.sort is not Sort.NEWEST:
            return [], True
        digested, texts = places.get(FINISHED), places.get(TEXTS)
        rows, calls, complete = self._candidates.look(
            connection,
            wanted,
            scope,
            None if digested is None else digested.at,
            (0 if texts is None else texts.seq) if wanted.search is not None else None,
        )
        found = []
        now = connection.execute(sa.select(utcnow())).scalar_one() if rows else None
        for row in rows:
            fact = fact_of({**row, "finished_at": row["finished_at"] or now}, calls.get(row["id"], []))
            document = None if wanted.search is None else self._candidates.document(row, calls.get(row["id"], []))
            if wanted.admits(fact, row["stage"], document):
                found.append(Match(row["id"], row["trace_id"] or trace_id_of(row["id"])))
        return found, complete


def contains(dialect: str, search: Search) -> sa.ColumnElement[bool]:
    """The condition that a document is found."""
    if dialect == "sqlite":
        return sa.literal_column("trace_texts").op("MATCH", is_comparison=True)(sa.literal(_fts5(search), sa.Text()))
    query = sa.cast(sa.literal(_tsquery(search), sa.Text()), TSQUERY)
    return trace_texts.c.document.op("@@", is_comparison=True)(query)


def _tsquery(search: Search) -> str:
    def one(term: Term) -> str:
        words = [f"'{word}'" for word in term.words]
        text = " <-> ".join(words) + (":*" if term.prefix else "")
        return f"!({text})" if term.absent else f"({text})"

    return " & ".join(map(one, search.terms))


def _fts5(search: Search) -> str:
    def one(term: Term) -> str:
        return f'"{" ".join(term.words)}"' + ("*" if term.prefix else "")

    wanted = " AND ".join(one(term) for term in search.terms if not term.absent)
    return " NOT ".join([f"({wanted})", *(one(term) for term in search.terms if term.absent)])


def _ordered(query: Any, wanted: Wanted) -> Any:
    columns = {Sort.COST: trace_facts.c.cost_picousd, Sort.DURATION: trace_facts.c.seconds}
    column = columns.get(wanted.sort)
    key = [trace_facts.c.job_id] if column is None else [column, trace_facts.c.job_id]
    if wanted.after is not None:
        value, job_id = wanted.after
        if column is None:
            query = query.where(trace_facts.c.job_id < job_id)
        else:
            same = sa.and_(column == value, trace_facts.c.job_id < job_id)
            query = query.where(column <= value, sa.or_(column < value, same))
    return query.order_by(*(each.desc() for each in key))


def _match(row: Any, sort: Sort) -> Match:
    values: dict[Sort, Any] = {Sort.COST: row.cost_picousd, Sort.DURATION: row.seconds}
    return Match(row.job_id, row.trace_id or trace_id_of(row.job_id), values.get(sort))


def _text_key(connection: sa.Connection) -> Any:
    return sa.literal_column("trace_texts.rowid") if connection.dialect.name == "sqlite" else trace_texts.c.seq


def _that_are_over(connection: sa.Connection, job_ids: Sequence[str]) -> set[str]:
    if not job_ids:
        return set()
    query = sa.select(id_text(results.c.job_id)).where(results.c.job_id.in_(job_ids))
    return set(connection.execute(query).scalars())


def _each_trace_once(matches: Iterable[Match]) -> list[Match]:
    found: dict[str, Match] = {}
    for match in matches:
        found.setdefault(match.trace_id, match)
    return list(found.values())
