"""The words of a long history, put together in SQL: each prompt is taken apart once, with the leader's own code.

The documents are those that the leader would write, save for the numbers of failures that differ from job to job.
"""

import time
from collections import defaultdict
from collections.abc import Iterator

import psycopg

from benchmarks.report import say
from synthralos.domain.observing import TEXTS
from synthralos.domain.search import marker, plain, tag_marker
from synthralos.store.sql.tsvectors import MOST_POSITION

_WORDS = "CREATE TABLE words (kind text, n int, document tsvector NOT NULL, PRIMARY KEY (kind, n))"
_MOST_PLACES = 256
"""Of one word, that PostgreSQL keeps."""
_CLASSES = ("server_error", "timeout", "overloaded")
_TEXTS = """
    INSERT INTO trace_texts (seq, document)
    SELECT f.seq, a.document || coalesce(b.document, '') || coalesce(c.document, '') || t.document || o.document
        || m.document
    FROM trace_facts AS f JOIN drawn AS d ON d.id = f.job_id
        JOIN words AS a ON a.kind = 'prompt' AND a.n = d.first
        LEFT JOIN words AS b ON b.kind = 'prompt' AND b.n = d.second AND d.luck >= 0.02
        LEFT JOIN words AS c ON c.kind = 'class' AND c.n = d.n %% 3 AND d.luck < 0.02
        JOIN words AS t ON t.kind = 'tag' AND t.n = d.n %% 50
        JOIN words AS o ON o.kind = 'organization' AND o.n = d.n %% 20
        JOIN words AS m ON m.kind = 'deployment' AND m.n = d.n %% 5
    WHERE f.seq <= %s ORDER BY f.seq
"""
_FOLLOWED = """
    INSERT INTO digests (name, seq, until) SELECT %s, %s, (SELECT finished_at FROM trace_facts WHERE seq = %s)
"""


def fill_texts(url: str, count: int) -> None:
    """Index the words of the first `count` jobs that were digested; the index is made when all are there."""
    began = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(_WORDS)
        prompts = connection.execute("SELECT n, text FROM prompts").fetchall()
        with connection.cursor() as cursor, cursor.copy("COPY words FROM STDIN") as copy:
            for row in (
                *(("prompt", n, _tsvector(plain(text))) for n, text in prompts),
                *_others(),
            ):
                copy.write_row(row)
        connection.execute("ANALYZE words")
        connection.execute("DROP INDEX trace_texts_by_word")
        connection.execute(_TEXTS, [count])
        connection.execute("CREATE INDEX trace_texts_by_word ON trace_texts USING gin (document)")
        connection.execute(_FOLLOWED, [TEXTS, count, count])
        connection.execute("VACUUM (ANALYZE)")
    say(f"the words of {count:,} jobs in {time.monotonic() - began:.0f} s")


def _others() -> Iterator[tuple[str, int, str]]:
    for n in range(50):
        yield "tag", n, _tsvector(f"project p{n} {tag_marker('project', f'p{n}')}")
    for n in range(20):
        yield "organization", n, _tsvector(marker("o", f"org-{n}"))
    for n in range(5):
        yield "deployment", n, _tsvector(marker("d", f"provider/model-{n}@eu"))
    for n, name in enumerate(_CLASSES):
        yield "class", n, _tsvector(f"{plain(name)} the provider said {marker('c', name)}")


def _tsvector(words: str) -> str:
    """The words as PostgreSQL writes a tsvector, with their places."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for at, each in enumerate(words.split(), 1):
        places[each].append(min(at, MOST_POSITION))
    return " ".join(f"'{each}':{','.join(map(str, at[:_MOST_PLACES]))}" for each, at in places.items())
