"""Fairness: how exactly organizations, and workspaces of one, share by weight while their bulk jobs wait, and how long
people wait then.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import accumulate

from benchmarks.client import Connection, submit_arrays
from benchmarks.places import postgresql_database, rabbitmq_vhost
from benchmarks.processes import wait_until
from benchmarks.provider import catalog_file, slow_provider
from benchmarks.report import BenchmarkError, figure, percentile, say
from benchmarks.system import ARRAY, Shape, System, check_books, running
from benchmarks.workload import job
from scheduler.entrance import LEAST_RUNG
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

RUNG = 3 * LEAST_RUNG
"""Calls that are left out at first: what was rung before all stood in line."""

NEARLY_ALL = 0.85

FLOOD, FLOOD_SMOKE = 50_000, 4_000
PEOPLE, PEOPLE_SMOKE, PEOPLE_EVERY = 200, 30, 0.05
"""Interactive jobs of another organization, and the seconds between two."""

CALL_SECONDS, SLOTS = 0.05, "32"
"""Of the provider, and of a worker process: jobs arrive faster than they are done."""

_STARTED = """
    SELECT j.organization, octet_length(j.request) / 4 + 256, a.started_at, j.created_at, j.workspace
    FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.lane = '%s' ORDER BY a.started_at, a.job_id
"""


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
    asyncio.run(_in_turn(system, keys, count))
    accepted = system.value("SELECT max(created_at) FROM jobs")
    system.until_finished()
    system.sent = count * len(WEIGHTS)
    check_books(system)
    rows = system.connection.execute((_STARTED % "bulk").encode()).fetchall()
    heaviest = max(WEIGHTS, key=lambda name: WEIGHTS[name])
    begin = sum(_seconds(row[2], accepted) <= 0 for row in rows) + RUNG
    figure("share_error", _share_error(rows, begin, WEIGHTS, 0), "share")
    inner = [row for row in rows if row[0] == heaviest]
    begin -= sum(row[0] != heaviest for row in rows[:begin])
    figure("workspace_share_error", _share_error(inner, begin, WORKSPACES, 4), "share")


def _share_error(rows: Sequence[Sequence[object]], begin: int, weights: Mapping[str, int], whose: int) -> float:
    """How far the share of the tokens that one had is from what its weight says, while all of `weights` waited.

    `whose` is the column of the names. Calls before the one at `begin` are left out, and those after one had nearly
    all of its own: the last of them may be late, when a message went back to the broker for want of slots.
    """
    places: dict[str, list[int]] = {name: [] for name in weights}
    for place, row in enumerate(rows):
        places[str(row[whose])].append(place)
    end = min(found[int(len(found) * NEARLY_ALL)] for found in places.values())
    waiting = rows[begin:end]
    served = {name: sum(int(str(row[1])) for row in waiting if row[whose] == name) for name in weights}
    if not all(served.values()):
        raise BenchmarkError(f"nobody had to wait: {served}")
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
    rows = system.connection.execute((_STARTED % "interactive").encode()).fetchall()
    waits = [_seconds(row[2], row[3]) for row in rows]
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
