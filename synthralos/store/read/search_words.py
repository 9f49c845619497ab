"""The words of a search in the database's own language, and the few documents that have them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSQUERY

from synthralos.domain.search import Search, Term, marker
from synthralos.store.tables import trace_texts

FEW = 5_000
"""Documents that are taken from the index of words; of more, those are looked for in their order."""

SURELY_MANY = 3 * FEW // 2
"""Of so many, by PostgreSQL's statistics of words, no few are asked for: it would find all of them first."""

MOST_OF_A_WORD = 60_000
"""Documents of the rarest word, by the same statistics, that the index goes through to find few."""

_MOST_JUDGED = 16
"""Words of a query whose documents are estimated."""

_ESTIMATE = "SELECT seq FROM trace_texts WHERE document @@ CAST(CAST(:w{number} AS text) AS tsquery)"


def contains(dialect: str, search: Search) -> sa.ColumnElement[bool]:
    """The condition that a document is found."""
    if dialect == "sqlite":
        return sa.literal_column("trace_texts").op("MATCH", is_comparison=True)(sa.literal(_fts5(search), sa.Text()))
    query = sa.cast(sa.literal(_tsquery(search.terms), sa.Text()), TSQUERY)
    return trace_texts.c.document.op("@@", is_comparison=True)(query)


def text_key(dialect: str) -> Any:
    """The column with the `seq` of a document's facts."""
    return sa.literal_column("trace_texts.rowid") if dialect == "sqlite" else trace_texts.c.seq


class Documents(NamedTuple):
    """The `seq`s of documents. Unless it is `sure`, `contains` has to be asked of each."""

    seqs: list[int]
    sure: bool


def few_documents(connection: sa.Connection, search: Search, organization: str | None) -> Documents | None:
    """The documents with these words, of an organization or of all, where they are few; else None.

    PostgreSQL does not know how rare a rare word is: in search of the newest it would go through all jobs. Beginnings
    that many words have are not looked up, nor whether words stand side by side: the index would read every document
    that has them.
    """
    dialect = connection.dialect.name
    if organization is not None:
        search = Search((*search.terms, Term((marker("o", organization),))))
    asked: Search | None = search if dialect == "sqlite" else _narrowed(connection, search)
    if asked is None:
        return None
    query = sa.select(text_key(dialect).label("seq")).select_from(trace_texts).where(contains(dialect, asked))
    found = list(connection.execute(query.limit(FEW + 1)).scalars().all())
    return Documents(found, asked.terms == search.terms) if len(found) <= FEW else None


def _narrowed(connection: sa.Connection, search: Search) -> Search | None:
    """What the index finds quickly, without the beginnings that very many words have; None for many documents."""
    sought = [term for term in search.terms if not term.absent]
    prefixes = [term for term in sought if term.prefix]
    of_prefixes = _estimates(connection, [[term] for term in prefixes])
    broad = [term for term, number in zip(prefixes, of_prefixes, strict=True) if number > MOST_OF_A_WORD]
    kept = [term for term in sought if term not in broad]
    if not kept:
        return None
    words = [word for term in kept for word in _apart(term)]
    rest = (*words, *(term for term in search.terms if term.absent and len(term.words) == 1))
    whole, *each = _estimates(connection, [rest, *([word] for word in words[:_MOST_JUDGED])])
    return None if whole > SURELY_MANY or min(each) > MOST_OF_A_WORD else Search(rest)


def _apart(term: Term) -> list[Term]:
    """The words of a term, wherever they stand; the last one may go on where the term may."""
    return [*(Term((word,)) for word in term.words[:-1]), Term(term.words[-1:], term.prefix)]


def _estimates(connection: sa.Connection, queries: Sequence[Sequence[Term]]) -> list[int]:
    """How many documents PostgreSQL takes each of the queries to find."""
    if not queries:
        return []
    parts = " UNION ALL ".join(f"({_ESTIMATE.format(number=number)})" for number in range(len(queries)))
    values = {f"w{number}": _tsquery(terms) for number, terms in enumerate(queries)}
    [plan] = connection.execute(sa.text(f"EXPLAIN (FORMAT JSON) {parts}"), values).scalar_one()
    plans = [plan["Plan"]] if len(queries) == 1 else plan["Plan"]["Plans"]
    return [int(each["Plan Rows"]) for each in plans]


def _tsquery(terms: Sequence[Term]) -> str:
    def one(term: Term) -> str:
        words = [f"'{word}'" for word in term.words]
        text = " <-> ".join(words) + (":*" if term.prefix else "")
        return f"!({text})" if term.absent else f"({text})"

    return " & ".join(map(one, terms))


def _fts5(search: Search) -> str:
    def one(term: Term) -> str:
        return f'"{" ".join(term.words)}"' + ("*" if term.prefix else "")

    wanted = " AND ".join(one(term) for term in search.terms if not term.absent)
    return " NOT ".join([f"({wanted})", *(one(term) for term in search.terms if term.absent)])
