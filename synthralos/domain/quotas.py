"""Provider quotas: how much a credential may ask of a model in a minute. One state for all workers, kept as a row.

What workers are granted is counted by GCRA (ITU-T I.371, the "virtual scheduling algorithm"): each unit has a time at
which all that was granted would be refilled, so that it needs no timer, and what a dead worker held comes back by
itself. A grant reaches at most `AHEAD` seconds into the future and `BURST` seconds into the past: no worker can hoard.

How fast a unit is granted follows what the provider says is left of it: faster than the limit while much is left,
slower where little is (`_haste`). So a full bucket is used, other users of the same credential are seen, and what we
count otherwise than the provider (cached tokens, images) does not matter in the long run.

A refusal closes the whole quota until a time, and a later one can only extend that. Where neither headers nor the
catalog say a limit, one is learned from refusals (`quota_learning`). It is forgotten when none comes.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from synthralos.domain.deployments import Catalog, Deployment
from synthralos.domain.quota_learning import Learned, after_calls, after_refusal, rate_now
from synthralos.domain.quota_units import Left, Unit

AHEAD, BURST = 0.3, 1.0
"""Seconds of the quota that grants may reach into the future, and that are saved up while nobody asks."""

SPARE = 0.2
"""The share of a minute's quota that is kept at the provider, so that estimates and delays end in no refusal."""

_FASTEST, _SLOWEST = 1.8, 0.1
FRESH = 30.0
"""Seconds for which what a header said is left is gone by."""

FIRST_CLOSURE, LONGEST_BACKOFF, LONGEST_CLOSURE = 1.0, 30.0, 3_600.0
"""Seconds: closed after a refusal that says nothing, at most after several of them in a row, and at most in all."""

_IN_A_ROW = 10.0
"""Seconds after the end of a closure within which a refusal is one more in a row."""

_ASKERS = 2.0
"""Seconds for which a worker that asked counts as one that shares."""


class Source(StrEnum):
    """Where a limit is known from."""

    HEADER = "header"
    REFUSAL = "refusal"
    CATALOG = "catalog"


class Ask(NamedTuple):
    """What a worker wants of one unit; negative: it gives back. `least`: what its first call needs, in one piece."""

    want: float
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """One unit. `limit` a minute and `left` of it are what the last header said, at `seen`.

    `free`: when all that was granted is refilled. Times are seconds since the epoch, by the database's clock.
    """

    limit: int | None = None
    left: int | None = None
    seen: float = 0.0
    free: float = 0.0


EMPTY = Bucket()


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of a credential and a model. Times as in `Bucket`.

    `refusals`: in a row. `learned`: from them. `askers`: when each worker asked last.
    """

    name: str
    buckets: Mapping[Unit, Bucket] = field(default_factory=dict)
    closed_until: float = 0.0
    reason: str = ""
    refusals: int = 0
    learned: Learned | None = None
    askers: Mapping[str, float] = field(default_factory=dict)


Declared = Mapping[Unit, int]
"""Limits a minute that the catalog declares."""


class Standing(NamedTuple):
    """How a quota stands now. `rates`: units a second that are granted, of the units that are limited.

    `limits`: units a second that the provider refills.

    `closed`: seconds until it is open again, 0: it is. `shared`: workers that ask for it at present.
    """

    rates: Mapping[Unit, float]
    closed: float = 0.0
    reason: str = ""
    shared: int = 1
    limits: Mapping[Unit, float] = {}


class Grant(NamedTuple):
    """What a worker got. `wait`: seconds until more is to be had."""

    amounts: Mapping[Unit, float]
    wait: float
    standing: Standing


def quota_name(deployment: Deployment, key: str | None = None) -> str:
    """`CREDENTIAL/MODEL`: the name of the key, and the provider's model name.

    Without a key's name it is what the deployment wants, or the provider where it needs none.
    """
    return f"{key or deployment.wanted_credential or deployment.provider}/{deployment.upstream_model}"


def declared_by(
    catalog: Catalog, keys: Callable[[Deployment], Sequence[str]] | None = None
) -> dict[str, dict[Unit, int]]:
    """What the catalog declares, by quota; of several deployments that share one, the least counts.

    `keys` are the names of those that a deployment may be called with: each has what is declared for itself.
    """
    found: dict[str, dict[Unit, int]] = {}
    for deployment in catalog:
        names = [quota_name(deployment, key) for key in (keys(deployment) if keys else ()) or (None,)]
        for unit, limit in ((Unit.REQUESTS, deployment.rpm), (Unit.TOKENS, deployment.tpm)):
            if limit is not None:
                for name in names:
                    mine = found.setdefault(name, {})
                    mine[unit] = min(limit, mine.get(unit, limit))
    return found


def limit_of(quota: Quota, unit: Unit, declared: Declared, now: float) -> tuple[float, Source] | None:
    """The unit's limit a minute, and where it is known from; None: it is not. The catalog can only lower it."""
    told, own = quota.buckets.get(unit, EMPTY).limit, declared.get(unit)
    if told is not None and (own is None or told <= own):
        return told, Source.HEADER
    if own is not None:
        return own, Source.CATALOG
    guess = rate_now(quota.learned, now) if unit is Unit.REQUESTS else None
    return None if guess is None else (guess, Source.REFUSAL)


def standing(quota: Quota, declared: Declared, now: float) -> Standing:
    """How the quota stands."""
    rates = {unit: rate for unit in Unit if (rate := _rate(quota, unit, declared, now)) is not None}
    closed = max(0.0, quota.closed_until - now)
    limits = {unit: found[0] / 60.0 for unit in rates if (found := limit_of(quota, unit, declared, now)) is not None}
    return Standing(rates, closed, quota.reason if closed else "", max(1, len(_asking(quota, now))), limits)


def observed(quota: Quota, lefts: Iterable[Left], now: float) -> Quota:
    """The quota after an answer said what is left."""
    buckets = dict(quota.buckets)
    for unit, limit, left in lefts:
        buckets[unit] = replace(buckets.get(unit, EMPTY), limit=limit, left=left, seen=now)
    return replace(quota, buckets=buckets)


def granted(quota: Quota, asks: Mapping[Unit, Ask], declared: Declared, asker: str, now: float) -> tuple[Quota, Grant]:
    """The quota after a worker asked, and what it got. A unit without a limit is not granted: nobody needs to ask."""
    buckets, amounts, wait = dict(quota.buckets), dict[Unit, float](), 0.0
    for unit, ask in asks.items():
        rate = _rate(quota, unit, declared, now)
        if rate is None:
            continue
        bucket = buckets.get(unit, EMPTY)
        begin = max(bucket.free, now - BURST, quota.closed_until)
        room = (now + AHEAD - begin) * rate
        amount = min(ask.want, max(room, 0.0))
        if amount < ask.least and room > 0:  # a call that is larger than the room is owed for
            amount = min(ask.least, 60.0 * rate)
        free = (bucket.free if amount < 0 else begin) + amount / rate
        buckets[unit] = replace(bucket, free=free)
        amounts[unit] = amount
        if amount < ask.want:
            wait = max(wait, free - now - AHEAD)
    askers = _asking(quota, now)
    if any(ask.want > 0 for ask in asks.values()):
        askers[asker] = now
    learned = quota.learned and after_calls(quota.learned, amounts.get(Unit.REQUESTS, 0.0), now)
    after = replace(quota, buckets=buckets, askers=askers, learned=learned)
    return after, Grant(amounts, max(0.0, wait), standing(after, declared, now))


def refused(quota: Quota, seconds: float | None, reason: str, lefts: Iterable[Left], now: float) -> Quota:
    """The quota after a call was refused for it, for so many seconds as the provider said; None: it did not."""
    after = observed(quota, lefts, now)
    again = now < quota.closed_until
    refusals = quota.refusals if again else _in_a_row(quota, now)
    if seconds is None:
        seconds = min(LONGEST_BACKOFF, FIRST_CLOSURE * 2.0 ** min(refusals - 1, 10))
    until = max(quota.closed_until, now + min(seconds, LONGEST_CLOSURE))
    after = replace(after, closed_until=until, refusals=refusals, reason=reason)
    if again or after.buckets.get(Unit.REQUESTS, EMPTY).limit is not None:
        return after
    return replace(after, learned=after_refusal(quota.learned, now, until))


def _in_a_row(quota: Quota, now: float) -> int:
    """One more after a closure that was too short for a single call, and one less after one that was not."""
    if now > quota.closed_until + _IN_A_ROW:
        return 1
    calls = quota.learned.calls if quota.learned else 0.0
    return quota.refusals + 1 if calls <= 1 else max(1, quota.refusals - 1)


def _rate(quota: Quota, unit: Unit, declared: Declared, now: float) -> float | None:
    found = limit_of(quota, unit, declared, now)
    if found is None:
        return None
    limit, source = found
    haste = _haste(quota.buckets.get(unit, EMPTY), now)
    return limit / 60.0 * (min(1.0, haste) if source is Source.CATALOG else haste)


def _haste(bucket: Bucket, now: float) -> float:
    """How much faster than the limit is granted, by what is left: 1 where that is `SPARE`, or is not known."""
    if not bucket.limit or bucket.left is None or now - bucket.seen > FRESH:
        return 1.0
    share = bucket.left / bucket.limit
    if share >= SPARE:
        return min(_FASTEST, 1.0 + share - SPARE)
    return max(_SLOWEST, math.sqrt(max(0.0, share) / SPARE))


def _asking(quota: Quota, now: float) -> dict[str, float]:
    return {asker: at for asker, at in quota.askers.items() if now - at <= _ASKERS}
