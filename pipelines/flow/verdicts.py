"""What the end of a call says of the breakers that it passed: its deployment's, and its key's."""

from collections.abc import Collection
from typing import NamedTuple

from synthralos.domain.attempts import Reply
from synthralos.domain.breakers import credential_breaker
from synthralos.domain.deployments import Deployment
from synthralos.domain.failures import UPSTREAM, Failure, FailureClass

_UNAUTHORIZED, _FORBIDDEN = 401, 403
_WHOLE_WAIT = 0.9
"""A call that was cut sooner than this share of its deployment's time-out was cut by its job's own deadline."""

SLOW_SHARE = 0.5
"""A call that takes more than this share of its deployment's time-out is slow."""


class Verdict(NamedTuple):
    """What a call says of a breaker: nothing (`neutral`), its fault (`failure`), and whether that is slowness alone.

    `sure`: one call is enough. So it is for a key while there is another one to go on with; the last one gets the
    benefit of the doubt.
    """

    failure: str = ""
    neutral: bool = False
    slow: bool = False
    sure: bool = False


_GOOD, _NEUTRAL = Verdict(), Verdict(neutral=True)


def of_deployment(deployment: Deployment, answer: Reply | Failure, seconds: float, call_timeout: float) -> Verdict:
    """What a call that took so many `seconds` says of its deployment. That a key was refused says nothing of it."""
    longest = min(deployment.timeout, call_timeout)
    if isinstance(answer, Reply):
        if seconds > SLOW_SHARE * longest:
            return Verdict(f"answered after {seconds:.1f} s", slow=True)
        return _GOOD
    if answer.failure_class is FailureClass.CREDENTIAL:
        return _NEUTRAL
    if answer.failure_class not in UPSTREAM:
        return _NEUTRAL if answer.http_status is None else _GOOD
    if answer.failure_class is FailureClass.TIMEOUT and seconds < _WHOLE_WAIT * longest:
        return _NEUTRAL
    return Verdict(f"{answer.failure_class}: {answer.message}"[:300])


def of_key(
    credential: str, deployment: Deployment, answer: Reply | Failure, probed: Collection[str], *, others: bool
) -> list[tuple[str, Verdict]]:
    """What a call says of the key that it was made with, by breaker. `others`: another key could go on here.

    401 and an account without money are the key's own; 403 is the key's at this deployment, which it may not use.
    """
    whole, here = credential_breaker(credential), credential_breaker(credential, deployment.id)
    if isinstance(answer, Reply):
        return [(whole, _GOOD), (here, _GOOD)] if here in probed else [(whole, _GOOD)]
    status = answer.http_status if answer.failure_class is FailureClass.CREDENTIAL else None
    bad = Verdict(f"{answer.failure_class} at {deployment.id}: {answer.message}"[:300], sure=others)
    if status == _UNAUTHORIZED or answer.failure_class is FailureClass.QUOTA_EXHAUSTED:
        return [(whole, bad)]
    if status == _FORBIDDEN and (others or here in probed):
        return [(here, bad)]
    return [(whole, _NEUTRAL)]
