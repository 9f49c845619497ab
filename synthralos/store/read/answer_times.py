"""How long deployments took to answer of late, whichever worker asked them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from synthralos.domain.attempts import Outcome
from synthralos.store.sql.database import Database
from synthralos.store.sql.types import asked_at, word
from synthralos.store.tables import attempts, catalog_entries

MOST_ATTEMPTS = 4_000
"""The newest ones, of all deployments together, that one look reads."""

WITHIN_SECONDS = 6 * 3_600
"""What ended before that says nothing of now."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The last whole answers at the standard service tier.

    `seconds` to each of them, the newest first, by deployment; the first and the last of all `ended` then.
    """

    seconds: Mapping[str, Sequence[float]]
    ended: tuple[datetime, datetime] | None

    @property
    def count(self) -> int:
        """How many answers there are."""
        return sum(map(len, self.seconds.values()))


class AnswerTimes:
    """One bounded read at the end of the ledger's key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Mapping[str, Sequence[float]]:
        """The `seconds` of `look`."""
        return self.look().seconds

    def look(self) -> Answered:
        """The last answers, of the newest calls alone."""
        found: dict[str, list[float]] = {}
        with self._database.snapshot() as connection:
            rows = connection.execute(_TIMES).all()
        for deployment, seconds, _ in rows:
            found.setdefault(deployment, []).append(seconds)
        times = [ended for _, _, ended in rows]
        return Answered(found, (min(times), max(times)) if times else None)


def _times() -> Any:
    names = attempts.c.entry_key, attempts.c.seconds, attempts.c.outcome, attempts.c.service_tier, attempts.c.ended_at
    order = attempts.c.job_id.desc(), attempts.c.attempt_no.desc()
    last = sa.select(*names, attempts.c.job_id).order_by(*order).limit(MOST_ATTEMPTS).subquery()
    query = sa.select(catalog_entries.c.deployment, last.c.seconds, last.c.ended_at)
    query = query.join(last, last.c.entry_key == catalog_entries.c.key).order_by(last.c.job_id.desc())
    return query.where(
        last.c.outcome == word(Outcome.SUCCEEDED),
        last.c.service_tier.is_(None),
        last.c.seconds.is_not(None),
        last.c.ended_at > asked_at(sa.literal_column(f"-{WITHIN_SECONDS}.0")),
    )


_TIMES = _times()
