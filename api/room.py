"""What the handlers of one API process share: made once per process, found through the request."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import orjson
from starlette.requests import Request

from api.acceptance import Acceptance
from api.arrivals import Arrivals
from api.http.auth import Authenticator, BriefCache, Caller, calling
from api.http.bodies_in_flight import BodiesInFlight
from api.http.parameters import require_once
from api.http.problems import Problem, not_found
from api.key_use import KeyUse
from api.live.deltas import Deltas
from api.live.feed import FeedHub
from api.live.open_here import OpenHere
from api.live.waiting import Waiters
from api.observations import Observations
from api.searching import Searching
from api.simulations import Simulations
from api.standing import Standings
from api.stores import Stores
from pipelines.analyze.trace import job_view
from pipelines.flow.explaining import Explainer
from pipelines.intake.catalog_checks import CatalogChecks
from pipelines.route.stage import build_route_stage
from synthralos.bus.protocol import POLL_SECONDS, Topic
from synthralos.control.answering import Answering
from synthralos.control.crowding import Crowding
from synthralos.control.operator import Operator
from synthralos.core import Core
from synthralos.domain.ids import is_id
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import EVERYTHING, Scope
from synthralos.domain.states import TERMINAL
from synthralos.store.queue.operations import Operations
from synthralos.store.queue.submissions import Accepted, KeyReused, Submission
from synthralos.store.read.feed import Feed
from synthralos.store.read.jobs import Row
from synthralos.store.read.standing import LinePlaces
from synthralos.store.read.timelines import Timeline
from synthralos.store.sql.errors import StoreError, is_transient
from synthralos.store.sql.group_read import GroupRead
from synthralos.telemetry.families import WAITED_FOR
from synthralos.telemetry.outages import DATABASE
from synthralos.telemetry.writes import JobCounts

Result = TypeVar("Result")

REPORT_SECONDS = 1.0
"""How long a readiness report is given out again, so that nobody can ask the database to death."""

_READERS = 8


class Seen(NamedTuple):
    """A job as it was read: whose it is, its state, and the bytes of its published form.

    `result_bytes`: where its result is large, so many bytes of JSON belong where the body has the mark of `WholeJobs`.
    """

    organization: str
    workspace: str
    user: str | None
    state: str
    body: bytes
    result_bytes: int | None = None


class Followed(NamedTuple):
    """A job as those who follow it read it: without its request and result, with its timeline."""

    job: Row
    timeline: Timeline


class Room(Stores):
    """Holds the store, the group commits, the group read, the waiters and the threads. Lives on one event loop."""

    def __init__(self, core: Core, poll_seconds: float = POLL_SECONDS) -> None:
        super().__init__(core.database)
        self.core = core
        self.simulations = Simulations(core.database)
        self.searching = Searching(core.database)
        self._checks = CatalogChecks(core.catalog, core.settings.unclassified)
        self.observations = Observations(core.database, self.read, lambda: core.live.current)
        self.planner = lru_cache(1)(lambda config: build_route_stage(config, observed=self.observations.observed))
        self.explainer = lru_cache(1)(lambda config: Explainer(config, self.planner(config)))
        self.threads = ThreadPoolExecutor(_READERS, thread_name_prefix="api")
        self.bodies = BodiesInFlight(max(core.settings.bodies_bytes, core.settings.max_body_bytes))
        self.auth = Authenticator(
            lambda secret: self.read(lambda: self.keys.find(secret)),
            lambda key_id: self.read(lambda: self.keys.get(key_id, EVERYTHING)),
        )
        self._key_use = KeyUse(self.auth.used, lambda ids: self.write(lambda: self.keys.note_used(ids)))
        self._plans: BriefCache[str] = BriefCache()
        self.reports: BriefCache[dict[str, Any]] = BriefCache(REPORT_SECONDS)
        self.looks: GroupRead[Seen] = GroupRead("jobs", self._see)
        self.follows: GroupRead[Followed] = GroupRead("timelines", self._follow)
        self.open_here = OpenHere()
        # On SQLite other processes are not heard, and an array's jobs would drive out those that are waited for.
        self._hears_of_all = core.database.dialect == "postgresql"
        self.waiters: Waiters[Seen] = Waiters(
            lambda ids: self.read(lambda: self.reader.states(ids)), self.looks.ask, poll_seconds
        )
        self.feed = Feed(core.database)
        self.feed_hub = FeedHub(self.feed, self.read, poll_seconds)
        self.deltas = Deltas(core.streams, self.write, poll_seconds)
        self.announcer = core.announcer()
        self.counts = JobCounts(core.metrics)
        self._crowding = Crowding(core.bus)
        self._standings = Standings(LinePlaces(core.database), self._crowding)
        arrivals = Arrivals(self.submissions, self.announcer, self._crowding, self.counts)
        self.operator = Operator(Operations(core.database), core.doorbell, core.bus, self.counts.ended)
        self.answering = Answering(self.wait_points, core.doorbell, core.bus, self.counts.ended)
        core.metrics.reads(WAITED_FOR, lambda: self.waiters.waiting)
        self._acceptance = Acceptance(core, arrivals)

    @property
    def checks(self) -> CatalogChecks:
        """The checks of the catalog that is in force."""
        if self._checks.catalog is not self.core.catalog:
            self._checks = CatalogChecks(self.core.catalog, self.core.settings.unclassified)
        return self._checks

    async def open(self) -> None:
        """Begin to hear of changed jobs."""
        loop = asyncio.get_running_loop()
        self.waiters.attach(loop)
        self.deltas.attach(loop)
        self.looks.attach(loop)
        self.follows.attach(loop)
        self.feed_hub.attach(loop)
        # Subscribing waits for the bus's connection, for some seconds where the database is away.
        await loop.run_in_executor(self.threads, self._subscribe)
        self._key_use.start()

    def _subscribe(self) -> None:
        # Before the waiters: who begins to wait in between finds the job not open any more, and looks.
        self.core.bus.subscribe(Topic.FINISHED, self.open_here.heard_end)
        self.waiters.subscribe_to(self.core.bus)
        self.feed_hub.subscribe_to(self.core.bus)
        self._crowding.start()
        self.announcer.start(self.core.bus)
        with suppress(StoreError):  # a database that is away is asked again, by the thread that this starts
            self.core.live.read()
        self.core.live.start(self.core.bus)

    def release(self) -> None:
        """Let those go who only wait or listen: the process is about to stop."""
        self.waiters.release()
        self.feed_hub.release()

    async def close(self) -> None:
        """Commit what is pending and give back the threads; the core stays its owner's to close."""
        self.release()
        self.deltas.release()
        await self._key_use.close()
        await self._acceptance.close()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.threads, self.announcer.close)
        await loop.run_in_executor(self.threads, self.looks.close)
        await loop.run_in_executor(self.threads, self.follows.close)
        await loop.run_in_executor(self.threads, self.searching.close)
        self.threads.shutdown(wait=True)

    async def accept(self, submission: Submission, body_bytes: int) -> Accepted | KeyReused:
        """Store a submission durably; raises `StoreUnavailable`, also where the database does not answer at all.

        Raises `StoreBusy` at once where too many submissions wait already.
        """
        if len(submission.jobs) > 1 or not self._hears_of_all:
            return await self._acceptance.commit(submission, body_bytes)
        [job] = submission.jobs
        self.open_here.add(job.id, job.tenant)
        stored = False
        try:
            answer = await self._acceptance.commit(submission, body_bytes)
            stored = isinstance(answer, Accepted) and not answer.replayed
        finally:
            if not stored:
                self.open_here.forget([job.id])
        return answer

    async def read(self, query: Callable[[], Result]) -> Result:
        """Run a read in a thread. A connection that was found dead is replaced, once."""
        try:
            found = await self.write(query)
        except Exception as error:
            if not is_transient(error):
                raise
            found = await self.write(query)
        self.core.outages.works(DATABASE)
        return found

    async def plan_of(self, organization: str) -> str:
        """The organization's plan."""
        return await self._plans.get(organization, lambda: self.read(lambda: self.organizations.plan_of(organization)))

    async def write(self, act: Callable[[], Result]) -> Result:
        """Run something that blocks in a thread, once."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, act)

    async def tell(self, topic: Topic, ids: Sequence[str]) -> None:
        """Tell all processes, in a thread: on PostgreSQL it is a statement."""
        await self.write(lambda: self.core.bus.publish(topic, ids))

    async def configure(self, act: Callable[[], Result]) -> Result:
        """Run something that changes the configuration: in force here when it returns, elsewhere within two seconds."""

        def changing() -> Result:
            done = act()
            self.core.live.changed()
            return done

        return await self.write(changing)

    async def job(self, job_id: str, caller: Caller) -> Row:
        """The job's row; raises a 404 where there is none that the caller may see."""
        if is_id(job_id):
            wanted = job_id.lower()
            found = await self.read(lambda: self.reader.jobs([wanted], caller.scope))
            if wanted in found:
                return found[wanted]
        raise _no_job()

    async def look(self, job_id: str, scope: Scope) -> Seen:
        """The job as it is now; raises a 404 where there is none within the scope."""
        if is_id(job_id):
            seen = await self.looks.get(job_id.lower())
            if seen is not None and scope.admits(seen.organization, seen.workspace, seen.user):
                return seen
        raise _no_job()

    async def when_over(self, job_id: str, scope: Scope, seconds: float) -> Seen:
        """The job as it is when it is over, or after so many seconds; raises a 404 as `look` does.

        Who waits for a job that this process accepted reads once, at the end; for another one, before it as well.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        job_id = job_id.lower()
        with self.waiters.expecting(job_id) as its_end:
            if not self.open_here.shows(job_id, scope):
                seen = await self.look(job_id, scope)
                if seen.state in TERMINAL:
                    return seen
            return await its_end(max(0.0, until - clock())) or await self.look(job_id, scope)

    def _follow(self, job_ids: Sequence[str]) -> dict[str, Followed]:
        """In a reading thread: all that are followed and have moved are read together."""
        jobs, timelines = self.reader.summaries(job_ids), self.reader.timelines(job_ids)
        self._standings.add(jobs.values())
        self.core.outages.works(DATABASE)
        return {job_id: Followed(job, timelines[job_id]) for job_id, job in jobs.items()}

    def _see(self, job_ids: Sequence[str]) -> dict[str, Seen]:
        """In the reading thread: the answers are written there, so that the loop only sends them."""
        rows = self.whole.read(job_ids)
        self._standings.add(rows.values())
        self.core.outages.works(DATABASE)
        self.open_here.forget(job_id for job_id, row in rows.items() if row["state"] in TERMINAL)
        return {job_id: _seen(row) for job_id, row in rows.items()}


def _seen(row: Row) -> Seen:
    body = orjson.dumps(job_view(row, detail=True))
    return Seen(row["organization"], row["workspace"], row["user_id"], row["state"], body, row.get("result_bytes"))


def _no_job() -> Problem:
    return not_found("There is no such job, or none that this key may see.")


def room_of(request: Request) -> Room:
    """The room of the process that serves `request`."""
    room: Room = request.app.state.room
    return room


async def admit(request: Request, permission: Permission) -> tuple[Room, Caller]:
    """The room, and the caller who may do that; raises 401, 403, 422 or 429."""
    room = room_of(request)
    caller = await room.auth.admit(request.headers.get("authorization"), permission)
    require_once(request.query_params.multi_items())
    return room, calling(caller, request.headers.get("user-agent"))
