"""What was handed in: stored, then made known, once for all that was stored in one transaction."""

from collections.abc import Sequence

from synthralos.control.announcer import Announcer
from synthralos.control.ringing import Place
from synthralos.domain.states import Stage
from synthralos.store.queue.submissions import Accepted, KeyReused, Submission, Submissions


class Arrivals:
    """The flush of the API's group commits. Runs in their threads."""

    def __init__(self, submissions: Submissions, announcer: Announcer) -> None:
        self._submissions = submissions
        self._announcer = announcer

    def accept(self, submissions: Sequence[Submission]) -> list[Accepted | KeyReused]:
        """Store all, and ring for those jobs that are new."""
        notices = self._announcer.notices(place for submission in submissions for place in _places(submission))
        answers = self._submissions.accept(submissions, notices)
        new = [
            place
            for submission, answer in zip(submissions, answers, strict=True)
            if isinstance(answer, Accepted) and not answer.replayed
            for place in _places(submission)
        ]
        self._announcer.announce(new, noticed=bool(notices))
        return answers


def _places(submission: Submission) -> list[Place]:
    return [(Stage.GUARD, job.lane, job.id) for job in submission.jobs]
