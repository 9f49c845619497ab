"""What was handed in: stored, then made known, once for all that was stored in one transaction."""

from collections.abc import Sequence

from pipelines.intake.lines import stand_in_line
from synthralos.control.announcer import Announcer
from synthralos.control.crowding import Crowding
from synthralos.control.ringing import Place
from synthralos.domain.jobs import NewJob
from synthralos.domain.states import Lane, Stage
from synthralos.store.queue.submissions import Accepted, KeyReused, Submission, Submissions
from synthralos.telemetry.writes import JobCounts


class Arrivals:
    """The flush of the API's group commits. Runs in their threads."""

    def __init__(self, submissions: Submissions, announcer: Announcer, crowding: Crowding, counts: JobCounts) -> None:
        self._submissions = submissions
        self._crowding = crowding
        self._counts = counts
        self._announcer = announcer

    def accept(self, submissions: Sequence[Submission]) -> list[Accepted | KeyReused]:
        """Store all; count those jobs that are new, and ring for them, but for those that are to wait in line."""
        if self._crowding.now:
            stand_in_line(job for submission in submissions for job in submission.jobs)
        notices = self._announcer.notices(_place(job) for submission in submissions for job in submission.jobs)
        answers = self._submissions.accept(submissions, notices)
        new = [
            job
            for submission, answer in zip(submissions, answers, strict=True)
            if isinstance(answer, Accepted) and not answer.replayed
            for job in submission.jobs
        ]
        self._counts.accepted(job.lane for job in new)
        rung = [job for job in new if job.line_tokens is None]
        self._announcer.announce([_place(job) for job in rung], noticed=bool(notices))
        self._crowding.accepted([job.id for job in rung if job.lane is Lane.BULK])
        return answers


def _place(job: NewJob) -> Place:
    return Stage.GUARD, job.lane, job.id
