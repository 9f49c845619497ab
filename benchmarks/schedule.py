"""Schedules: 10,000 due in the same minute, lateness, a killed leader, and memory over a million ticks."""

import contextlib
import resource
import signal
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import sql

from benchmarks import cpu
from benchmarks.places import BrokerPlace, postgresql_database, rabbitmq_vhost
from benchmarks.processes import Child, child, python, wait_until
from benchmarks.report import BenchmarkError, cpu_table, figure, say
from migrations.runner import upgrade
from synthralos.domain.firings import due_ticks
from synthralos.domain.ids import new_id
from synthralos.domain.schedules import Misfire, Overlap, Schedule
from synthralos.store.admin.audit import By
from synthralos.store.admin.schedules import Schedules
from synthralos.store.sql.database import Database

DUE, DUE_SMOKE = 10_000, 300
"""Schedules that are due in the same minute, of 50 different expressions."""
STEADY, STEADY_SECONDS, STEADY_SECONDS_SMOKE = 100, 20, 4
"""Schedules that fire every second: 100 ticks/s."""
KILLS, KILLS_SMOKE = 3, 1
TICKS, TICKS_SMOKE = 1_000_000, 5_000
WARM_UP = 0.1
"""The part of the simulated ticks after which memory is looked at first."""

_JOB = {"prompt": "How was the night?", "max_output_tokens": 100}
_COPY = """
    INSERT INTO schedules SELECT gen_random_uuid(), s.organization, s.workspace, s.user_id, s.name, s.owner, s.document,
        s.version, s.revision, s.paused, s.pause_note, s.failures, s.backoff_until, {due}, {due}, s.created_at,
        s.changed_at, s.changed_by
    FROM (SELECT * FROM schedules ORDER BY id LIMIT {models}) AS s, generate_series(1, {copies}) AS n
"""
_SCHEDULER = python(
    "from synthralos.config.settings import load_settings; from scheduler.process import run_scheduler; "
    "run_scheduler(load_settings())"
)
Connection = psycopg.Connection[tuple[object, ...]]


def main(smoke: bool) -> None:
    """All of it, each on a database of its own."""
    memory = _memory(TICKS_SMOKE if smoke else TICKS)
    with _place() as (database_url, broker, connection):
        seconds = _mass(database_url, broker, connection, DUE_SMOKE if smoke else DUE)
    with _place() as (database_url, broker, connection):
        _steady_schedules(database_url)
        lateness, takeover = _steady(database_url, broker, connection, smoke)
        wrong = _lost_or_doubled(connection)
    figure("fire_10000_s", seconds, "s")
    figure("lateness_p99_s", lateness, "s")
    figure("takeover_s", takeover, "s")
    figure("lost_or_doubled", wrong, "ticks")
    figure("memory_growth_mb", memory, "MB")


def _mass(database_url: str, broker: BrokerPlace, connection: Connection, count: int) -> float:
    """Seconds from when they are due until the last one's firing is stored."""
    models = 50
    with contextlib.closing(Database(database_url)) as database:
        schedules = Schedules(database)
        for number in range(models):
            made = _schedule(cron=f"0 {number % 24} {number % 28 + 1} * *", time_zone="Europe/Berlin")
            schedules.create(made, By("benchmark"))
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=12)
    copy = sql.SQL(_COPY).format(due=sql.Literal(due), models=sql.Literal(models), copies=sql.Literal(count // models))
    connection.execute(copy)
    connection.execute("DELETE FROM schedules WHERE next_due_at <> %s", (due,))
    connection.execute("ANALYZE")
    with _scheduler(database_url, broker) as scheduler:
        due_now = f"SELECT (clock_timestamp() >= '{due.isoformat()}'::timestamptz - interval '1 second')::int"
        wait_until(lambda: _number(connection, due_now) > 0, "the time", [scheduler], 60.0)
        meter = cpu.Meter({**cpu.of_children([scheduler]), **cpu.of_postgresql(connection)})
        fired = "SELECT count(*) FROM firings WHERE outcome = 'fired'"
        wait_until(lambda: _number(connection, fired) >= count, "all to fire", [scheduler], 120.0)
        used = meter.read()
    last = f"SELECT extract(epoch FROM max(decided_at) - '{due.isoformat()}') FROM firings"
    if _number(connection, "SELECT count(*) FROM jobs") != count:
        raise BenchmarkError("there are not as many jobs as schedules")
    seconds = _number(connection, last)
    cpu_table(f"{count} schedules due at once", used, seconds, count, "schedule")
    figure("fire_10000_cpu_s", sum(used.values()), "s")
    return seconds


def _steady_schedules(database_url: str) -> None:
    with contextlib.closing(Database(database_url)) as database:
        schedules = Schedules(database)
        for _ in range(STEADY):
            made = _schedule(interval_seconds=1, overlap=Overlap.ALLOW, misfire=Misfire.ALL)
            schedules.create(made, By("benchmark"))


def _steady(database_url: str, broker: BrokerPlace, connection: Connection, smoke: bool) -> tuple[float, float]:
    """The p99 of lateness while nothing happens, and the longest time without a firing after a leader was killed."""
    seconds, kills = (STEADY_SECONDS_SMOKE, KILLS_SMOKE) if smoke else (STEADY_SECONDS, KILLS)
    with _scheduler(database_url, broker) as first, contextlib.ExitStack() as stack:
        others = [stack.enter_context(_scheduler(database_url, broker)) for _ in range(kills)]
        everybody = {each.pid: each for each in (first, *others)}
        begun = "SELECT count(*) FROM firings"
        wait_until(lambda: _number(connection, begun) >= STEADY, "the first ticks", [], 60.0)
        since = _now(connection)
        ended = f"SELECT clock_timestamp() > '{since.isoformat()}'::timestamptz + interval '{seconds} seconds'"
        wait_until(lambda: bool(connection.execute(ended.encode()).fetchone()[0]), "the time", [], seconds + 30.0)  # type: ignore[index]
        p99 = (
            "SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM decided_at - fire_at)) "
            f"FROM firings WHERE fire_at > '{since.isoformat()}' AND outcome = 'fired'"
        )
        lateness = _number(connection, p99)
        takeovers = [_kill_leader(connection, everybody) for _ in range(kills)]
        connection.execute("UPDATE schedules SET paused = true, next_due_at = NULL, revision = revision + 1")
    say(f"takeovers: {', '.join(f'{each:.2f} s' for each in takeovers)}")
    return lateness, max(takeovers)


def _kill_leader(connection: Connection, everybody: dict[int, Child]) -> float:
    """kill -9; seconds until another one has fired."""
    leading = "SELECT p.pid FROM leaders AS l JOIN processes AS p ON p.id = l.holder WHERE l.until > clock_timestamp()"
    wait_until(lambda: int(_number(connection, leading)) in everybody, "a leader", [], 60.0)
    everybody.pop(int(_number(connection, leading))).signal(signal.SIGKILL)
    killed = _now(connection)
    later = f"SELECT extract(epoch FROM min(decided_at) - '{killed.isoformat()}') FROM firings WHERE decided_at > "
    # What was committed while it died is its own: a tick that is due after its death is another's.
    query = f"{later}'{killed.isoformat()}' AND fire_at > '{killed.isoformat()}'"
    wait_until(lambda: _number(connection, query) > 0, "another one to fire", list(everybody.values()), 60.0)
    return _number(connection, query)


def _lost_or_doubled(connection: Connection) -> int:
    """Seconds between a schedule's first and last tick without a firing, and jobs that no firing or two have."""
    lost = (
        "SELECT coalesce(sum(extract(epoch FROM last - first) + 1 - ticks), 0) FROM (SELECT min(fire_at) AS first, "
        "max(fire_at) AS last, count(*) FILTER (WHERE outcome = 'fired') AS ticks FROM firings "
        "GROUP BY schedule_id) AS s"
    )
    doubled = "SELECT abs((SELECT count(*) FROM jobs) - (SELECT count(*) FROM firings WHERE outcome = 'fired'))"
    return int(_number(connection, lost) + _number(connection, doubled))


def _memory(count: int) -> float:
    """Megabytes by which the process grows while it decides about so many ticks, on a simulated clock."""
    made = [
        _schedule(cron="*/5 * * * *", time_zone="America/New_York"), _schedule(interval_seconds=30),
        _schedule(cron="0 9 * * 1-5", time_zone="Asia/Kolkata"), _schedule(cron="* * * * *", jitter_seconds=40),
    ]  # fmt: skip
    firsts = [datetime(2026, 1, 1, tzinfo=UTC)] * len(made)
    warm = 0
    for number in range(count):
        which = number % len(made)
        due = due_ticks(made[which], firsts[which], None, firsts[which] + timedelta(seconds=50))
        assert due.following is not None
        firsts[which] = due.following.fire_at
        if number == int(count * WARM_UP):
            warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm) / 1024


def _schedule(**fields: object) -> Schedule:
    return Schedule(new_id(), "bench", "main", f"s-{uuid.uuid4().hex[:8]}", _JOB, **fields)  # type: ignore[arg-type]


@contextlib.contextmanager
def _place() -> Iterator[tuple[str, BrokerPlace, Connection]]:
    with postgresql_database() as database_url, rabbitmq_vhost() as broker:
        with contextlib.closing(Database(database_url)) as database:
            upgrade(database)
        with psycopg.connect(database_url, autocommit=True) as connection:
            yield database_url, broker, connection


@contextlib.contextmanager
def _scheduler(database_url: str, broker: BrokerPlace) -> Iterator[Child]:
    environment = {
        "DATABASE_URL": database_url, "BROKER_URL": broker.url, "BROKER_NAMESPACE": broker.namespace,
        "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    with child("scheduler", _SCHEDULER, environment) as scheduler:
        yield scheduler


def _number(connection: Connection, query: str) -> float:
    """The single number that a query gives; 0 for NULL or no row."""
    row = connection.execute(query.encode()).fetchone()
    return 0.0 if row is None else float(str(row[0] or 0))


def _now(connection: Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    assert isinstance(row[0], datetime)
    return row[0]
