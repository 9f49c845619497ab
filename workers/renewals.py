"""Which provider keys were replaced while this process runs: what was held against the old one is not the new one's."""

from datetime import datetime, timedelta

from synthralos.config.credentials import Credentials, CredentialsNow
from synthralos.domain.breakers import Breaker, credential_of, is_credential

STRAGGLERS = timedelta(seconds=3)
"""For so long after a replacement was seen here, another process may be refused with the old key still."""


class Renewals:
    """Remembers the last replacement of each key."""

    def __init__(self, credentials: CredentialsNow | None = None) -> None:
        self._now = credentials
        self._seen: Credentials | None = None if credentials is None else credentials()
        self._at: dict[str, datetime] = {}

    def look(self, now: datetime) -> None:
        """See what was replaced since the last look; `now` by the database's clock."""
        if self._now is None or self._seen is None:
            return
        before, self._seen = self._seen, self._now()
        if before is not self._seen:
            for key in self._seen.keys:
                if before.key(key.name) != key:
                    self._at[key.name] = now

    def ends(self, breaker: Breaker) -> bool:
        """Whether the breaker stands for a key that was replaced after it had opened."""
        replaced = self._at.get(credential_of(breaker.name)[0]) if is_credential(breaker.name) else None
        return replaced is not None and breaker.since <= replaced + STRAGGLERS
