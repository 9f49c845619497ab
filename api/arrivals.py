"""What was handed in: stored, then made known, once for all that was stored in one transaction."""

from collections.abc import Sequence

from synthralos.control.announcer import Announcer
from synthralos.control.ringing import Place
from synthralos.domain.states import Stage
from synthralos.store.queue.submissions import Accepted, KeyReused, Submission, Submissions
from synthralos.telemetry.writes import JobCounts


class Arrivals:
    """The flush of the API's group commits. Runs in their threads."""

    def __init__(self, submissions: Submissions, announcer: Announcer, counts: JobCounts) -> None:
        self._submissions = submissions
        self._counts = counts
        self._announcer = announcer

    def accept(self, submissions: Sequence[Submission]) -> list[Accepted | KeyReused]:
        """Store all; count those jobs that are new, and ring for them."""
        notices = self._announcer.notices(place for submission in submissions for place in _places(submission))
        answers = self._submissions.accept(submissions, notices)
        new = [
            place
            for submission, answer in zip(submissions, answers, strict=True)
            if isinstance(answer, Accepted) and not answer.replayed
            for place in _places(submission)
        ]
        self._counts.accepted(lane for _, lane, _ in new)
        self._announcer.announce(new, noticed=bool(notices))
        return answers


def _places(submission: Submission) -> list[Place]:
    return [(Stage.GUARD, job.lane, job.id) for job in submission.jobs]
