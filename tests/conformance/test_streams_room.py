"""What all streams promise: chunks in order from any place on, from any process, told where somebody listens."""

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import pytest

from synthralos.bus.postgres import PostgresBus
from synthralos.domain.deltas import Chunk, Place
from synthralos.domain.ids import id_at, new_id
from synthralos.store.queue.stream_chunks import StreamChunks
from synthralos.store.retention.housekeeping import Housekeeping
from synthralos.store.sql.database import Database
from synthralos.streams.memory import MemoryStreams
from synthralos.streams.postgres import Audience, PostgresStreams
from synthralos.streams.protocol import Streams, StreamsAwayError
from synthralos.streams.redis import RedisStreams
from tests.fakes.broker_sites import Site

Build = Callable[[], Streams]


@pytest.fixture
def postgres_migrated(_migrated_postgres: Database) -> str:
    return _migrated_postgres.url.render_as_string(hide_password=False)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def memory_streams(stack: ExitStack) -> Build:
    one = stack.enter_context(closing(MemoryStreams()))
    return lambda: one


@pytest.fixture
def redis_streams(stack: ExitStack, redis: Site) -> Build:
    return lambda: stack.enter_context(closing(RedisStreams(redis.url, f"{redis.namespace}:streams:")))


@pytest.fixture
def postgres_streams(stack: ExitStack, postgres_migrated: str) -> Build:
    def make() -> Streams:
        database = stack.enter_context(closing(Database(postgres_migrated)))
        bus = stack.enter_context(closing(PostgresBus(database)))
        return PostgresStreams(database, bus)

    return make


@pytest.fixture(params=["memory_streams", "postgres_streams", "redis_streams"])
def build(request: pytest.FixtureRequest) -> Build:
    """Streams of each kind, each time with connections of their own; for memory there is one in all."""
    found: Build = request.getfixturevalue(request.param)
    return found


def chunk(job_id: str, number: int, text: str = "word ", attempt: int = 1) -> Chunk:
    tools = ({"index": 0, "id": "call_1", "name": "now", "arguments": "{}"},) if number == 3 else ()
    place = Place(attempt, number, number * len(text), number)
    return Chunk(job_id, place, "fake/model@us", text, "h", tools)


def told_of(heard: "queue.Queue[list[Chunk | str] | None]", writer: Streams, said: Chunk) -> list[Chunk | str]:
    """What a listener is told of a chunk, each thing once.

    Told None, it listens anew: what was said before may be lost, or come together with what is said again.
    """
    writer.append([said])
    while (told := heard.get(timeout=30)) is None:
        writer.append([said])
    return [one for number, one in enumerate(told) if one not in told[:number]]


def test_chunks_are_had_in_order_from_any_place_on(build: Build) -> None:
    writer, reader, job_id, other = build(), build(), new_id(), new_id()
    first = [chunk(job_id, number) for number in range(1, 5)]
    second = [chunk(job_id, number, attempt=2) for number in range(1, 3)]
    writer.append([*first[:2], chunk(other, 1)])
    writer.append([*second, *first[2:]])
    assert reader.after({job_id: Place(), other: Place()}) == {job_id: [*first, *second], other: [chunk(other, 1)]}
    assert reader.after({job_id: first[2].place}) == {job_id: [first[3], *second]}
    assert reader.after({job_id: second[-1].place, new_id(): Place()})[job_id] == []


def test_what_was_written_again_is_there_once(build: Build) -> None:
    writer, job_id = build(), new_id()
    chunks = [chunk(job_id, 1, "müde \U0001f30d\n"), chunk(job_id, 2)]
    writer.append(chunks[:1])
    writer.append(chunks)
    assert writer.after({job_id: Place()}) == {job_id: chunks}


def test_who_listens_is_told_of_what_comes(build: Build) -> None:
    writer, reader, job_id = build(), build(), new_id()
    heard: queue.Queue[list[Chunk | str] | None] = queue.Queue()
    reader.hear(lambda ids: heard.put(None if ids is None else list(ids)))
    reader.listens([job_id])
    assert told_of(heard, writer, chunk(job_id, 1)) == [chunk(job_id, 1)]
    assert reader.after({job_id: Place()})[job_id]


def test_what_is_too_large_to_be_told_is_had_all_the_same(build: Build) -> None:
    writer, reader, large = build(), build(), chunk(new_id(), 1, "\U0001f30d" * 5_000)
    heard: queue.Queue[list[Chunk | str] | None] = queue.Queue()
    reader.hear(lambda ids: heard.put(None if ids is None else list(ids)))
    reader.listens([large.job_id])
    assert told_of(heard, writer, large) in ([large], [large.job_id])
    assert reader.after({large.job_id: Place()}) == {large.job_id: [large]}


def test_nobody_is_told_where_nobody_listens() -> None:
    audience, job_id = Audience(), new_id()
    assert audience.of([job_id]) == [job_id], "who has just begun does not know"
    audience._all_until = 0.0
    assert audience.of([job_id]) == []
    audience.heard([job_id])
    assert audience.of([new_id(), job_id]) == [job_id]
    audience.heard(None)
    assert len(audience.of([new_id(), job_id])) == 2


def test_nothing_goes_over_the_bus_where_nobody_listens(stack: ExitStack, postgres_migrated: str) -> None:
    database = stack.enter_context(closing(Database(postgres_migrated)))
    bus = stack.enter_context(closing(PostgresBus(database)))
    streams, heard = PostgresStreams(database, bus), queue.Queue[list[Chunk | str] | None]()
    streams.hear(lambda ids: heard.put(None if ids is None else list(ids)))
    streams._hall()._all_until = 0.0
    streams.append([chunk(new_id(), 1)])
    streams._hall().heard([(last := chunk(new_id(), 1)).job_id])
    streams.append([last])
    while (told := heard.get(timeout=30)) is None:
        pass
    assert told == [last]


def test_memory_forgets_the_oldest_jobs_first() -> None:
    streams, jobs = MemoryStreams(most=2_100), [new_id() for _ in range(10)]
    for job_id in jobs:
        streams.append([chunk(job_id, 1, "x" * 300)])
    kept = [bool(chunks) for chunks in streams.after(dict.fromkeys(jobs, Place())).values()]
    assert kept == [False] * 6 + [True] * 4


def test_old_chunks_are_deleted_and_younger_ones_stay(database: Database) -> None:
    now = datetime.now(UTC)
    chunks, old, young = StreamChunks(database), id_at(now - timedelta(days=2)), new_id()
    chunks.append([*(chunk(old, number) for number in range(1, 4)), chunk(young, 1)])
    house = Housekeeping(database)
    assert house.prune_stream_chunks(now - timedelta(days=1), most=2) == 2
    assert house.prune_stream_chunks(now - timedelta(days=1), most=2) == 1
    assert chunks.after({old: Place(), young: Place()}, 10) == {old: [], young: [chunk(young, 1)]}


def test_a_redis_that_is_away_says_so_and_never_raises_anything_else(stack: ExitStack) -> None:
    streams = stack.enter_context(closing(RedisStreams("redis://127.0.0.1:1/0", "nowhere:")))
    with pytest.raises(StreamsAwayError):
        streams.append([chunk(new_id(), 1)])
    with pytest.raises(StreamsAwayError):
        streams.after({new_id(): Place()})
    streams.listens([new_id()])
