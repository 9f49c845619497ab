"""kill -9 the scheduler that leads in the middle of deliveries: every event arrives all the same."""

from collections import Counter
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from synthralos.domain.ids import new_id
from synthralos.domain.webhooks import Endpoint, Secret, new_secret
from synthralos.store.admin.audit import By
from synthralos.store.admin.webhooks import Webhooks
from synthralos.store.queue.happenings import tell
from synthralos.store.read.feed import Feed
from synthralos.store.tables import deliveries
from tests.conformance.test_store_feed import opened
from tests.fakes.receivers import receiver
from tests.faults.harness import Site
from tests.faults.harness_leading import the_leader

EVENTS = 240


@pytest.mark.timeout(300)
def test_a_leader_that_is_killed_while_it_delivers_costs_no_event(make_site: Callable[..., Site]) -> None:
    site = make_site(webhook_networks="127.0.0.0/8", webhook_threads=4)
    with receiver() as hook:
        endpoint = Endpoint(new_id(), None, hook.url, secrets=(Secret(new_secret()),), types=("breaker.opened",))
        Webhooks(site.database).create(endpoint, Feed(site.database).head(), By("ann"))
        everybody = [site.scheduler() for _ in range(3)]
        ids, came = set(), Counter[str]()
        for number in range(EVENTS):
            told = opened(str(number))
            with site.database.transaction() as connection:
                tell(connection, [told])
            ids.add(told.id)
        for kills in range(2):
            while came.total() < 40 * (kills + 1):
                came[hook.next().headers["webhook-id"]] += 1
            the_leader(site, everybody).kill()
        while set(came) != ids:
            came[hook.next().headers["webhook-id"]] += 1
    assert set(came) == ids
    assert came.total() < 2 * EVENTS, "what was written down is not sent again"
    states = sa.select(deliveries.c.state, sa.func.count()).group_by(deliveries.c.state)
    site.eventually(
        lambda: [tuple(row) for row in site.query(states)] == [("delivered", EVENTS)], "all is written down"
    )
