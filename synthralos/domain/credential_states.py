"""How the provider keys stand, by name: told from the breakers that stand before them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from synthralos.domain.breakers import Breaker, BreakerState, credential_breaker, credential_of, is_credential


class CredentialState(StrEnum):
    """`refused`: the provider took it out, wholly. `missing`: deployments want it, and there is no such key here."""

    ALIVE = "alive"
    REFUSED = "refused"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class CredentialStanding:
    """One key. `deployments` may be called with it; `refused_by` are those of them that refuse it, since `since`."""

    name: str
    state: CredentialState
    deployments: tuple[str, ...]
    refused_by: tuple[str, ...] = ()
    since: datetime | None = None
    reason: str = ""


def standings(
    wanted: Mapping[str, Sequence[str]], there: Iterable[str], breakers: Iterable[Breaker]
) -> list[CredentialStanding]:
    """All keys by name. `wanted` are the deployments of each key, `there` the keys that this process has."""
    shut = [each for each in breakers if is_credential(each.name) and each.state is not BreakerState.CLOSED]
    known = set(there)
    return [_standing(name, tuple(sorted(wanted[name])), shut, here=name in known) for name in sorted(wanted)]


def _standing(name: str, deployments: tuple[str, ...], shut: Sequence[Breaker], *, here: bool) -> CredentialStanding:
    mine = [each for each in shut if credential_of(each.name)[0] == name]
    if not here:
        return CredentialStanding(name, CredentialState.MISSING, deployments)
    if not mine:
        return CredentialStanding(name, CredentialState.ALIVE, deployments)
    whole = next((each for each in mine if each.name == credential_breaker(name)), None)
    refused_by = deployments if whole is not None else tuple(sorted(credential_of(each.name)[1] for each in mine))
    state = CredentialState.ALIVE if whole is None else CredentialState.REFUSED
    told = whole or mine[0]
    return CredentialStanding(name, state, deployments, refused_by, told.since, told.reason)
