"""Traces as they leave the house: read in bulk, and without the secrets that we know."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.analyze.protocol import Trace
from pipelines.analyze.trace import assemble, feedback_view, similarity_view
from synthralos.domain.scope import EVERYTHING
from synthralos.store.admin.feedback import FeedbackStore
from synthralos.store.read.jobs import Reader
from synthralos.store.read.prompts import Prompts
from synthralos.telemetry.redaction import Redactor

Row = Mapping[str, Any]


class TraceReading:
    """Reads jobs, and makes their traces."""

    def __init__(self, reader: Reader, feedback: FeedbackStore, prompts: Prompts, redactor: Redactor) -> None:
        self._reader, self._feedback, self._prompts, self._redactor = reader, feedback, prompts, redactor

    def jobs(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The jobs that there are still, by id."""
        return self._reader.jobs(job_ids, EVERYTHING)

    def traces(self, jobs: Sequence[Row]) -> list[Trace]:
        """Their traces, in that order."""
        if not jobs:
            return []
        ids = [job["id"] for job in jobs]
        timelines, said, compared = self._reader.timelines(ids), self._feedback.of(ids), self._prompts.compared(ids)
        return [
            self._trace(job, timelines[job["id"]], said.get(job["id"], []), compared.get(job["id"])) for job in jobs
        ]

    def redacted(self, text: str) -> str:
        """A text without secrets."""
        return self._redactor.text(text)

    def _trace(
        self, job: Row, timeline: Mapping[str, Sequence[Row]], said: Sequence[Row], compared: Row | None
    ) -> Trace:
        time.sleep(0)  # gives way to threads that have jobs to do: they would wait for milliseconds else
        feedback, similarity = [feedback_view(row) for row in said], compared and similarity_view(compared)
        whole = {**assemble(job, timeline), "feedback": feedback, "similarity": similarity}
        trace: Trace = self._redactor.document(whole)
        return trace
