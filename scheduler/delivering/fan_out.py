"""From the feed to rows of deliveries: who is to get what, up to where the feed can be read now.

Targets that have come as far as the feed goes share one cursor, and so one read, however many they are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from synthralos.domain.delivering import Target
from synthralos.domain.feed import Cursor, Item, Page, Wanted
from synthralos.domain.scope import Scope
from synthralos.domain.webhooks import NEVER_SENT
from synthralos.store.queue.deliveries import Advance, Deliveries, Position
from synthralos.store.queue.leading import Lead
from synthralos.store.read.feed import Feed
from synthralos.store.sql.database import Database

MOST_WAITING = 1_000
"""Deliveries to one target that are on their way at most: what comes then waits in the feed."""

_PAGE = 500


class FanOut:
    """Reads the feed on for the targets of one channel."""

    def __init__(self, database: Database, channel: str) -> None:
        self._feed = Feed(database)
        self._deliveries = Deliveries(database)
        self._channel = channel
        self._positions: dict[str, Position] = {}
        self._head: Cursor | None = None

    def positions(self, targets: Iterable[Target]) -> dict[str, Position]:
        """How the targets stand; new ones begin with what happens from now on."""
        ids = [target.id for target in targets]
        found = self._deliveries.positions(self._channel)
        if new := [target_id for target_id in ids if target_id not in found]:
            self._deliveries.begin(self._channel, new, self._feed.head())
            found = self._deliveries.positions(self._channel)
        self._positions = {target_id: found[target_id] for target_id in ids if target_id in found}
        return self._positions

    def round(self, lead: Lead, targets: Sequence[Target]) -> tuple[dict[str, int], bool]:
        """One page for each group of targets; how much each got, and whether there is more at once.

        `targets` are those that may get more now. Of those whose place changed meanwhile nothing is written.
        """
        head = self._head = self._feed.head()
        groups: dict[str, list[Target]] = defaultdict(list)
        for target in targets:
            place = self._positions[target.id].cursor
            if not _same_place(Cursor.decode(place), head):
                groups[place].append(target)
        advances, more = [], False
        for place, group in groups.items():
            page = self._page(Cursor.decode(place), head, group)
            more = more or page.more
            if page.cursor[1:] == Cursor.decode(place)[1:]:
                continue
            advances.append(Advance([t.id for t in group], place, page.cursor.encode(), list(_for_each(group, page))))
        if not advances or not self._deliveries.advance(lead, self._channel, advances):
            return {}, False
        return self._moved(advances), more

    def behind(self, targets: Iterable[Target]) -> bool:
        """Whether any of these has not come to where the feed ended at the last round."""
        head = self._head
        places = (Cursor.decode(self._positions[target.id].cursor) for target in targets)
        return head is not None and not all(_same_place(place, head) for place in places)

    def _page(self, cursor: Cursor, head: Cursor, group: Sequence[Target]) -> Page:
        """Those of one organization alone read what is its own alone."""
        organizations = {target.organization for target in group}
        only = next(iter(organizations)) if len(organizations) == 1 else None
        return self._feed.since(cursor, organization=only, until=head, limit=_PAGE)

    def _moved(self, advances: Sequence[Advance]) -> dict[str, int]:
        got: dict[str, int] = defaultdict(int)
        for each in advances:
            for target_id in each.targets:
                self._positions[target_id] = self._positions[target_id]._replace(cursor=each.new)
            for target_id, _ in each.events:
                got[target_id] += 1
        return got


def _for_each(group: Iterable[Target], page: Page) -> Iterable[tuple[str, Item]]:
    items = [item for item in page.items if not item.type.startswith(NEVER_SENT)]
    for target in group:
        everything = target.organization is None
        wanted = Wanted(Scope(target.organization), target.types, installation=everything)
        yield from ((target.id, item) for item in items if wanted.admits(item))


def _same_place(cursor: Cursor, head: Cursor) -> bool:
    return cursor[1:] == head[1:]
