"""Which of several keys of a provider a call is made with."""

from collections.abc import Callable, Sequence
from zlib import crc32

from synthralos.domain.breakers import credential_breaker
from synthralos.domain.deployments import Deployment

NamesNow = Callable[[Deployment], Sequence[str]]
"""The names of the keys that a deployment may be called with now."""


def wanted_name(deployment: Deployment) -> Sequence[str]:
    """What the deployment wants, as a name of one key: where nothing is known of keys."""
    wanted = deployment.wanted_credential
    return () if wanted is None else (wanted,)


def breakers_of(credential: str, deployment_id: str) -> frozenset[str]:
    """The breakers that stand before a call of a deployment with that key."""
    return frozenset((credential_breaker(credential), credential_breaker(credential, deployment_id)))


def in_turn(names: Sequence[str], job_id: str, attempt_no: int) -> Sequence[str]:
    """The names from the one on whose turn it is: by the attempt alone, so that all of them share the calls evenly."""
    first = crc32(f"{job_id}/{attempt_no}".encode()) % len(names)
    return (*names[first:], *names[:first])
