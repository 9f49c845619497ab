"""What may be told of an answer before it is whole, and what follows from having told it."""

from pipelines.flow.work import Work
from pipelines.providers.protocol import Call


def told_before_it_broke(work: Work) -> bool:
    """Whether the open attempt had told something of its answer, of a job that then is to fail."""
    tap = None if work.attempt is None else work.attempt.tap
    return tap is not None and tap.told and work.job.constraints.on_cut == "fail"


def may_be_told(work: Work, call: Call) -> bool:
    """Whether an answer may be told before it is whole: not where it has to be looked at, or changed, as a whole."""
    looked_at = call.validated or call.check is not None
    return not looked_at and not (work.redaction is not None and work.job.constraints.restore)
