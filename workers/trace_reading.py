"""Traces as they leave the house: read in bulk, once for all destinations, and without the secrets that we know."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from pipelines.analyze.contentless import contentless
from pipelines.analyze.giving_way import giving_way
from pipelines.analyze.neighbors import named, without
from pipelines.analyze.protocol import Trace
from pipelines.analyze.trace import assemble, feedback_view, similarity_view
from synthralos.domain.exports import Owed
from synthralos.domain.residency import kept_from
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.feedback import FeedbackStore
from synthralos.store.exports.classes import Classes
from synthralos.store.read.jobs import Reader
from synthralos.store.read.prompts import Prompts
from synthralos.store.sql.database import Database
from synthralos.telemetry.redaction import Redactor
from workers.trace_sharing import SharedTraces

Row = Mapping[str, Any]
Made = tuple[Trace, frozenset[str]]
"""A trace, and the ids of other jobs that it names."""


class TraceReading:
    """Reads jobs, and makes their traces; for the shippers of one process."""

    def __init__(self, database: Database, redactor: Redactor, destinations: int = 1) -> None:
        """`destinations`: how many of them it reads for."""
        self._reader, self._feedback, self._prompts = Reader(database), FeedbackStore(database), Prompts(database)
        self._classes, self._redactor = Classes(database), redactor
        self._shared = SharedTraces(destinations)

    def jobs(self, owed: Sequence[Owed]) -> dict[str, Row]:
        """Those of the claimed jobs that there are still, by id."""
        with self._shared.turn:
            self._shared.tidy()
            found = {each.job_id: kept.job for each in owed if (kept := self._shared.of(each)) is not None}
            missing = [each for each in owed if each.job_id not in found]
            read = self._reader.jobs([each.job_id for each in missing], EVERYTHING) if missing else {}
            for each in missing:
                if each.job_id in read:
                    self._shared.keep(each, read[each.job_id])
        return {**found, **read}

    def traces(self, owed: Sequence[Owed], jobs: Mapping[str, Row], residency: str | None) -> list[Trace]:
        """Their traces, in that order, as a destination may have them that keeps data in `residency` (None: unknown).

        They name no other job whose data may not go there. Nobody may change them.
        """
        if not owed:
            return []
        with self._shared.turn:
            made = self._made(owed, jobs)
        found = [made[each.job_id] for each in owed]
        classes = self._classes.of({job_id for _, others in found for job_id in others})
        kept = {job_id for job_id, of in classes.items() if kept_from(of, residency) is not None}
        return [without(trace, others & kept) for trace, others in found] if kept else [trace for trace, _ in found]

    def tidy(self) -> None:
        """Nothing is owed for now: keep nothing for long."""
        with self._shared.turn:
            self._shared.tidy()

    def redacted(self, text: str) -> str:
        """A text without secrets."""
        return self._redactor.text(text)

    def _made(self, owed: Sequence[Owed], jobs: Mapping[str, Row]) -> dict[str, Made]:
        made: dict[str, Made] = {}
        for each in owed:
            kept = self._shared.of(each)
            if kept is not None and kept.trace is not None:
                made[each.job_id] = kept.trace, kept.others
                self._shared.taken(each)
        missing = [each for each in owed if each.job_id not in made]
        if missing:
            self._make(missing, jobs, made)
            self._shared.tidy()
        return made

    def _make(self, owed: Sequence[Owed], jobs: Mapping[str, Row], made: dict[str, Made]) -> None:
        ids = [each.job_id for each in owed]
        timelines, said, compared = self._reader.timelines(ids), self._feedback.of(ids), self._prompts.compared(ids)
        for each in giving_way(owed):
            name = each.job_id
            whole = _whole(jobs[name], timelines[name], said.get(name, []), compared.get(name))
            encoded = orjson.dumps(whole)
            trace: Trace = self._redactor.document(whole, encoded)
            made[name] = trace, frozenset(named(trace))
            self._shared.add(each, *made[name], len(encoded))


def _whole(job: Row, timeline: Mapping[str, Sequence[Row]], said: Sequence[Row], compared: Row | None) -> Trace:
    feedback, similarity = [feedback_view(row) for row in said], compared and similarity_view(compared)
    return contentless({**assemble(job, timeline), "feedback": feedback, "similarity": similarity})
