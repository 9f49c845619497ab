"""Fairness: how exactly organizations, and workspaces of one, share by weight while their bulk jobs wait, and how long
people wait then.

What counts follows from when all of them had jobs in line, and from nothing else. It begins when the last job was
accepted: before, some had none to send, and workers were rung for whoever came. It ends when the first of them has no
job in line any more. A call counts whose job had its turn in between, and that began before the end. The database notes
each turn: a trigger of the benchmark's own sees a job leave its line.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import NamedTuple

from psycopg.rows import args_row

from benchmarks.client import Connection, submit_arrays
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.processes import wait_until
from benchmarks.provider import catalog_file, slow_provider
from benchmarks.report import BenchmarkError, figure, percentile, say
from benchmarks.system import ARRAY, Shape, System, check_books, running
from benchmarks.workload import job
from synthralos.domain.permissions import Role
from synthralos.domain.scope import Scope
from synthralos.store.admin.audit import By
from synthralos.store.admin.configuration import Configuration
from synthralos.store.admin.keys import Keys
from synthralos.store.sql.database import Database

WEIGHTS = {"one": 1, "two": 2, "four": 4}
"""The lightest comes first, and the heaviest last: first come, first served would give nearly all to the lightest."""

WORKSPACES = {"trials": 1, "live": 3}
"""Of the heaviest organization, with their weights in its share; the lightest comes first."""

JOBS, JOBS_SMOKE = 6_000, 4_500
"""Bulk jobs of each organization."""

FLOOD, FLOOD_SMOKE = 50_000, 4_000
PEOPLE, PEOPLE_SMOKE, PEOPLE_EVERY = 200, 30, 0.05
"""Interactive jobs of another organization, and the seconds between two."""

CALL_SECONDS, SLOTS = 0.05, "32"
"""Of the provider, and of a worker process: jobs arrive faster than they are done."""

_NOTE_TURNS = """
    CREATE TABLE bench_turns (job_id uuid NOT NULL, at timestamptz NOT NULL);
    CREATE FUNCTION bench_note_turn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO bench_turns VALUES (NEW.id, clock_timestamp());
        RETURN NULL;
    END $$;
    CREATE TRIGGER bench_turns AFTER UPDATE OF line ON open_jobs FOR EACH ROW
        WHEN (OLD.line IS NOT NULL AND NEW.line IS NULL) EXECUTE FUNCTION bench_note_turn()
"""
_SERVED = """
    SELECT j.organization, j.workspace, octet_length(j.request) / 4 + 256, turn.at, min(a.started_at)
    FROM (SELECT job_id, max(at) AS at FROM bench_turns GROUP BY job_id) turn
    JOIN jobs j ON j.id = turn.job_id JOIN attempts a ON a.job_id = j.id
    WHERE turn.at > (SELECT max(created_at) FROM jobs) GROUP BY j.id, turn.at
"""
_WAITS = """
    SELECT a.started_at, j.created_at FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.lane = 'interactive'
"""


class Served(NamedTuple):
    """A call of a job that had its turn after all jobs were accepted."""

    organization: str
    workspace: str
    tokens: int
    turn: datetime
    started: datetime


def main(smoke: bool) -> None:
    """First organizations of different weights, then a flood."""
    with (
        slow_provider(CALL_SECONDS) as (base_url, _),
        catalog_file(base_url) as catalog,
    ):
        flood, people = (FLOOD_SMOKE, PEOPLE_SMOKE) if smoke else (FLOOD, PEOPLE)
        for part, *counts in ((_shares, JOBS_SMOKE if smoke else JOBS), (_flood, flood, people)):
            with (
                postgresql_database() as database_url,
                rabbitmq_vhost() as broker,
                running(database_url, broker, catalog, Shape(2, 4), FLIGHT_SLOTS=SLOTS) as system,
            ):
                part(system, database_url, *counts)


def _shares(system: System, database_url: str, count: int) -> None:
    keys = _keys(database_url, list(WEIGHTS))
    system.connection.execute(_NOTE_TURNS.encode())
    asyncio.run(_in_turn(system, keys, count))
    system.until_finished()
    system.sent = count * len(WEIGHTS)
    check_books(system)
    with system.connection.cursor(row_factory=args_row(Served)) as cursor:
        calls = cursor.execute(_SERVED.encode()).fetchall()
    figure("share_error", _share_error(calls, WEIGHTS, lambda call: call.organization), "share")
    heaviest = max(WEIGHTS, key=lambda name: WEIGHTS[name])
    inner = [call for call in calls if call.organization == heaviest]
    figure("workspace_share_error", _share_error(inner, WORKSPACES, lambda call: call.workspace), "share")


def _share_error(calls: Sequence[Served], weights: Mapping[str, int], name_of: Callable[[Served], str]) -> float:
    """How far the share of the tokens that one had is from what its weight says, while all of `weights` waited."""
    turns = {name: [call.turn for call in calls if name_of(call) == name] for name in weights}
    if not all(turns.values()):
        raise BenchmarkError(f"nobody had to wait: turns { ({name: len(found) for name, found in turns.items()}) }")
    end = min(max(found) for found in turns.values())
    waiting = [call for call in calls if call.turn <= end and call.started <= end]
    served = {name: sum(call.tokens for call in waiting if name_of(call) == name) for name in weights}
    ideal = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    shares = {name: served[name] / sum(served.values()) for name in weights}
    for name, share in shares.items():
        say(f"  {name} of weight {weights[name]}: {share:.3f} of the tokens, {ideal[name]:.3f} would be its share")
    say(f"  {len(waiting):,} calls while all of them waited")
    return max(abs(shares[name] / ideal[name] - 1) for name in weights)


def _flood(system: System, database_url: str, count: int, people: int) -> None:
    keys = _keys(database_url, ["people"])

    async def both() -> None:
        flooding = asyncio.create_task(submit_arrays(system.url, system.key, system.bodies(count)))
        async with Connection(system.url, keys["people"]) as connection:
            for number in range(people):
                body = json.dumps({**job(number), "lane": "interactive"}).encode()
                await connection.accepted(connection.encode("POST", "/api/v1/jobs", body))
                await asyncio.sleep(PEOPLE_EVERY)
        await flooding

    asyncio.run(both())
    done = "SELECT NOT EXISTS (SELECT FROM open_jobs WHERE lane = 'interactive')"
    wait_until(lambda: bool(system.value(done)), "the interactive jobs", list(system.children.values()))
    left = int(system.number("SELECT count(*) FROM open_jobs"))
    waits = [_seconds(*row) for row in system.connection.execute(_WAITS.encode()).fetchall()]
    say(f"  {count:,} bulk jobs, of which {left:,} were open at the end; {len(waits)} interactive ones beside them")
    figure("interactive_wait_p95_ms", percentile(waits, 95) * 1000, "ms")


def _seconds(later: object, earlier: object) -> float:
    assert isinstance(later, datetime)
    assert isinstance(earlier, datetime)
    return (later - earlier).total_seconds()


async def _in_turn(system: System, keys: dict[str, str], count: int) -> None:
    """Everything of the first, then of the next. Of the last organization, everything of its first workspace first."""
    firsts = accumulate([count] * len(WEIGHTS), initial=0)
    for name, first in zip(WEIGHTS, firsts, strict=False):
        numbers = range(first, first + count, ARRAY)
        bodies = [
            [job(n) | _workspace(name, n - first, count) for n in range(number, min(number + ARRAY, first + count))]
            for number in numbers
        ]
        await submit_arrays(system.url, keys[name], [json.dumps(body).encode() for body in bodies])


def _workspace(organization: str, place: int, count: int) -> dict[str, str]:
    if WEIGHTS[organization] < max(WEIGHTS.values()):
        return {}
    return {"workspace": list(WORKSPACES)[place * len(WORKSPACES) // count]}


def _keys(database_url: str, organizations: list[str]) -> dict[str, str]:
    """A key for each, and its weight set."""
    database = Database(database_url)
    try:
        for name in organizations:
            if name in WEIGHTS:
                limits = {"weight": WEIGHTS[name], "workspace_weights": WORKSPACES}
                Configuration(database).set_own_limits(name, limits, By("benchmark", ""))
        return {name: Keys(database).create(name, Role.SERVICE, Scope(name), plan="pro")[0] for name in organizations}
    finally:
        database.close()
