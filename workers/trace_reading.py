"""Traces as they leave the house: read in bulk, and without the secrets that we know."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.analyze.contentless import contentless
from pipelines.analyze.giving_way import giving_way
from pipelines.analyze.neighbors import named, without
from pipelines.analyze.protocol import Trace
from pipelines.analyze.trace import assemble, feedback_view, similarity_view
from synthralos.domain.residency import kept_from
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.feedback import FeedbackStore
from synthralos.store.exports.classes import Classes
from synthralos.store.read.jobs import Reader
from synthralos.store.read.prompts import Prompts
from synthralos.store.sql.database import Database
from synthralos.telemetry.redaction import Redactor

Row = Mapping[str, Any]


class TraceReading:
    """Reads jobs, and makes their traces."""

    def __init__(self, database: Database, redactor: Redactor) -> None:
        self._reader, self._feedback, self._prompts = Reader(database), FeedbackStore(database), Prompts(database)
        self._classes, self._redactor = Classes(database), redactor

    def jobs(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The jobs that there are still, by id."""
        return self._reader.jobs(job_ids, EVERYTHING)

    def traces(self, jobs: Sequence[Row], residency: str | None) -> list[Trace]:
        """Their traces, in that order, as a destination may have them that keeps data in `residency` (None: unknown).

        They name no other job whose data may not go there.
        """
        if not jobs:
            return []
        ids = [job["id"] for job in jobs]
        timelines, said, compared = self._reader.timelines(ids), self._feedback.of(ids), self._prompts.compared(ids)
        traces = [
            self._trace(job, timelines[job["id"]], said.get(job["id"], []), compared.get(job["id"]))
            for job in giving_way(jobs)
        ]
        others = [named(trace) for trace in traces]
        classes = self._classes.of({job_id for each in others for job_id in each})
        kept = {job_id for job_id, of in classes.items() if kept_from(of, residency) is not None}
        return [without(trace, each & kept) for trace, each in zip(traces, others, strict=True)] if kept else traces

    def redacted(self, text: str) -> str:
        """A text without secrets."""
        return self._redactor.text(text)

    def _trace(
        self, job: Row, timeline: Mapping[str, Sequence[Row]], said: Sequence[Row], compared: Row | None
    ) -> Trace:
        feedback, similarity = [feedback_view(row) for row in said], compared and similarity_view(compared)
        whole = contentless({**assemble(job, timeline), "feedback": feedback, "similarity": similarity})
        trace: Trace = self._redactor.document(whole)
        return trace
