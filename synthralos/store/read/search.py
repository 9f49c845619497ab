"""Traces that are searched: finished jobs by an index, and open ones, or those that are in none yet, as they are.

The index is filled by the leader in the background (`store/retention`), so nothing here is the hot path's business.
What is not in it is looked at directly, the newest first, up to a bound; an answer says how far it goes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import sqlalchemy as sa

from synthralos.domain.ids import trace_id_of
from synthralos.domain.observing import FINISHED, TEXTS
from synthralos.domain.scope import Scope
from synthralos.domain.states import Stage
from synthralos.domain.trace_queries import Found, Match, Sort, Wanted
from synthralos.store.read.finished import fact_of
from synthralos.store.read.search_parts import FACTS, Candidates, facts_where
from synthralos.store.read.search_walk import Walk, organization_of
from synthralos.store.read.search_words import contains, few_documents, text_key
from synthralos.store.sql.database import Database, let_search
from synthralos.store.sql.recordset import encode_rows, recordset
from synthralos.store.sql.types import utcnow
from synthralos.store.tables import digests, results, trace_facts, trace_texts

_END = sa.select(sa.literal(1)).where(results.c.job_id == trace_facts.c.job_id).correlate(trace_facts)
_OVER = _END.scalar_subquery().label("over")
"""Whether it has an end (still): no EXISTS, for which PostgreSQL may read all results first."""


class Indexed(NamedTuple):
    """Of the digested jobs a page, and the `last` one that it looked at, where there are more.

    `whole`: the page is full, or there are no more.
    """

    matches: list[Match]
    last: Match | None = None
    whole: bool = True


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
            indexed = self._indexed(connection, wanted, scope)
            beside, complete = self._beside(connection, wanted, scope, places)
        last = indexed.last
        # What comes behind the last of a full page is the next page's.
        beside = [match for match in beside if last is None or match.place > last.place]
        by_id = {match.job_id: match for match in [*indexed.matches, *beside]}
        page = sorted(by_id.values(), key=lambda match: match.place, reverse=True)
        if len(page) > wanted.limit:
            page = page[: wanted.limit]
            last = page[-1]
        texts = places.get(TEXTS)
        return Found(
            _each_trace_once(page),
            None if last is None else (last.value, last.job_id),
            complete and indexed.whole,
            None if texts is None else texts.until,
        )

    def _indexed(self, connection: sa.Connection, wanted: Wanted, scope: Scope) -> Indexed:
        """Those among the digested jobs. A job that was retried since is left out: it is open."""
        if wanted.stage not in (None, Stage.ANALYZE):
            return Indexed([])
        query = sa.select(*FACTS, _OVER).where(*facts_where(wanted, scope))
        walk, parameters = Walk(wanted, scope), {}
        words = None if wanted.search is None else contains(connection.dialect.name, wanted.search)
        few = (
            None if wanted.search is None else few_documents(connection, wanted.search, organization_of(wanted, scope))
        )
        if few is not None:
            parameters = {"seqs": encode_rows({"seq": seq} for seq in few.seqs)}
            query = query.join_from(trace_facts, self._seqs, self._seqs.c.seq == trace_facts.c.seq)
        else:
            query = walk.bounded(connection, query)
        if words is not None and (few is None or not few.sure):
            query = query.join(trace_texts, text_key(connection.dialect.name) == trace_facts.c.seq).where(words)
        rows = connection.execute(walk.ordered(query), parameters).all()
        if few is None:
            let_search(connection)
        page = Indexed([_match(row, wanted.sort) for row in rows[: wanted.limit] if row.over])
        if len(rows) > wanted.limit:
            return page._replace(last=_match(rows[wanted.limit - 1], wanted.sort))
        if walk.end is None:
            return page
        return page._replace(last=Match(walk.end.job_id, "", walk.end.value), whole=False)

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


def _match(row: Any, sort: Sort) -> Match:
    values: dict[Sort, Any] = {Sort.COST: row.cost_picousd, Sort.DURATION: row.seconds}
    return Match(row.job_id, row.trace_id or trace_id_of(row.job_id), values.get(sort))


def _each_trace_once(matches: Iterable[Match]) -> list[Match]:
    found: dict[str, Match] = {}
    for match in matches:
        found.setdefault(match.trace_id, match)
    return list(found.values())
