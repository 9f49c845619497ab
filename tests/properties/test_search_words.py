"""Words of texts: in any alphabet, and as PostgreSQL keeps them."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, repeat

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synthralos.domain.search import plain
from synthralos.store.sql.database import Database
from synthralos.store.sql.tsvectors import MOST_POSITION, copy_vectors, tsvector


@pytest.fixture
def postgres(postgres_database: str) -> Iterator[Database]:
    with closing(Database(postgres_database)) as database:
        yield database


WORDS = st.lists(st.from_regex(r"[^\W_]{1,70}", fullmatch=True).map(str.lower) | st.sampled_from("ab"), max_size=600)
FEW = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(st.text() | st.text(st.characters(max_codepoint=127), max_size=300))
def test_a_text_is_its_words_in_lower_case(text: str) -> None:
    folded = unicodedata.normalize("NFKC", text).lower()
    assert plain(text) == " ".join(word[:64] for word in re.split(r"[\W_]+", folded) if word)


def as_text(words: list[str]) -> str:
    """The vector as PostgreSQL reads it from text."""
    places = chain(range(1, MOST_POSITION + 1), repeat(MOST_POSITION))
    return " ".join(f"'{word}':{place}" for word, place in zip(words, places, strict=False))


def stored(database: Database, words: list[str]) -> tuple[str, str]:
    """The vector as it was copied, and as it is read from text."""
    with database.transaction() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE vectors (number bigint, vector tsvector) ON COMMIT DROP")
        copy_vectors(connection, "vectors (number, vector)", [(7, tsvector(words))])
        query = sa.text("SELECT number, CAST(vector AS text), CAST(CAST(:words AS tsvector) AS text) FROM vectors")
        [(number, copied, read)] = connection.execute(query, {"words": as_text(words)})
    assert number == 7
    return copied, read


@FEW
@given(words=WORDS)
def test_a_vector_is_what_postgresql_reads_from_text(postgres: Database, words: list[str]) -> None:
    copied, read = stored(postgres, words)
    assert copied == read


def test_of_a_word_that_stands_everywhere_the_first_places_are_kept(postgres: Database) -> None:
    copied, read = stored(postgres, ["so"] * 600)
    assert copied == read


def test_words_behind_the_last_place_are_kept_there(postgres: Database) -> None:
    many = [f"w{number}" for number in range(MOST_POSITION)]
    copied, read = stored(postgres, [*many, "end", "end", "w5"])
    assert copied == read
    assert f"'end':{MOST_POSITION}" in copied
