"""Which deployments get no ordinary calls now, by the breakers and quotas that all workers share.

A worker asks its own copy of them before each call (`pipelines.flow.gates`). This is for those who make no calls.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from pipelines.flow.key_choice import breakers_of
from synthralos.domain.breakers import Breaker, BreakerState
from synthralos.domain.deployments import Deployment
from synthralos.domain.quota_report import QuotaReport
from synthralos.domain.quotas import quota_name

_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class Gate(StrEnum):
    """What stands before a deployment."""

    BREAKER = "breaker"
    QUOTA = "quota"


class HeldUp(NamedTuple):
    """Why a deployment gets no ordinary calls. `names` are those of the breakers or quotas that are shut.

    `until`: when the next call may be tried, by the database's clock; None: probes may be made already.
    """

    gate: Gate
    names: Sequence[str]
    until: datetime | None
    reason: str


class Gatehouse(NamedTuple):
    """The breakers that are not closed, and the quotas that are, by name."""

    shut: Mapping[str, Breaker]
    closed: Mapping[str, QuotaReport]

    def held_up(self, deployment: Deployment, keys: Sequence[str]) -> HeldUp | None:
        """Why the deployment gets no ordinary calls, with any of the `keys` of these names; None: it gets them."""
        return self._by_breakers(deployment, keys) or self._by_quotas(deployment, keys)

    def _by_breakers(self, deployment: Deployment, keys: Sequence[str]) -> HeldUp | None:
        own = [self.shut[deployment.id]] if deployment.id in self.shut else []
        of_keys = [[self.shut[n] for n in sorted(breakers_of(key, deployment.id)) if n in self.shut] for key in keys]
        by_keys = bool(of_keys) and all(of_keys)
        found = [*own, *(each for key in of_keys if by_keys for each in key)]
        if not found:
            return None
        until = max(_until(own), min(map(_until, of_keys)) if by_keys else _AT_ONCE)
        reasons = dict.fromkeys(each.reason for each in found if each.reason)
        names = [each.name for each in found]
        return HeldUp(Gate.BREAKER, names, None if until == _AT_ONCE else until, "; ".join(reasons))

    def _by_quotas(self, deployment: Deployment, keys: Sequence[str]) -> HeldUp | None:
        names = [quota_name(deployment, key) for key in keys or (None,)]
        found = {name: self.closed[name] for name in names if name in self.closed}
        if len(found) < len(set(names)):
            return None
        until = min(each.closed_until for each in found.values() if each.closed_until is not None)
        return HeldUp(Gate.QUOTA, [*found], until, "; ".join(dict.fromkeys(each.reason for each in found.values())))


def _until(shut: Sequence[Breaker]) -> datetime:
    """When all of these may be probed."""
    waits = [each.until for each in shut if each.state is BreakerState.OPEN and each.until is not None]
    return max(waits, default=_AT_ONCE)
