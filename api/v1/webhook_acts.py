"""What is done with webhook endpoints: secrets rotated, events sent by hand, deliveries looked at."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.openapi import documented, takes
from api.http.problems import invalid_field, not_found
from api.room import Room
from api.v1.feed_stream import events_kept
from api.v1.idempotency import once
from api.v1.queries import decode_cursor, encode_cursor
from api.v1.webhook_views import (
    DeliveryList,
    DeliveryQuery,
    DeliveryView,
    ReplayIn,
    RotateSecretIn,
    Sent,
    WebhookWithSecret,
    delivery_view,
)
from api.v1.webhooks import Id, admit_to_webhooks, found_webhook, no_webhook, tell_delivery, with_secret
from pipelines.intake.schema import ReasonIn
from synthralos.domain.audit import Act
from synthralos.domain.delivering import DeliveryState
from synthralos.domain.feed import Cursor, Item, Wanted
from synthralos.domain.ids import is_id, new_id
from synthralos.domain.permissions import Permission
from synthralos.domain.scope import Scope
from synthralos.domain.webhooks import NEVER_SENT, TEST, Endpoint, new_secret
from synthralos.store.admin.audit import By

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])

MOST_REPLAYED = 1_000
"""Events that one call sends again at most."""

_MOST_READS = 20


@router.post(
    "/{webhook_id}/rotate-secret",
    **documented(WebhookWithSecret, "The endpoint, with the new secret", found=True, validated=True, body=True),
    openapi_extra=takes(RotateSecretIn, required=False),
)
async def rotate_secret(request: Request, webhook_id: Id) -> Response:
    """Make a new secret, shown this once. Those before sign beside it for the overlap, so that none is refused."""
    room, caller = await admit_to_webhooks(request, Permission.WRITE_WEBHOOKS)
    wanted = await read_document(request, room, RotateSecretIn, optional=True)
    endpoint_id = (await found_webhook(room, caller, webhook_id)).endpoint.id
    secret, by = new_secret(), By(caller.actor, wanted.reason)
    stored = await room.write(
        lambda: room.webhooks.rotate(endpoint_id, caller.scope, secret, wanted.overlap_seconds, by)
    )
    if stored is None:
        raise no_webhook()
    return with_secret(stored, secret, 200)


@router.post(
    "/{webhook_id}/test",
    **documented(Sent, "The test event is on its way", found=True, validated=True, body=True, status=202),
    openapi_extra=takes(ReasonIn, required=False, keyed=True),
)
async def test_webhook(request: Request, webhook_id: Id) -> Response:
    """Send an event of the type `webhook.test`; what came of it is among the deliveries."""
    room, caller = await admit_to_webhooks(request, Permission.WRITE_WEBHOOKS)
    wanted = await read_document(request, room, ReasonIn, optional=True)
    endpoint = (await found_webhook(room, caller, webhook_id)).endpoint
    event = Item(new_id(), TEST, datetime.now(UTC), endpoint.organization, caller.actor, {}, subject=endpoint.id)

    async def make(by: By) -> Response:
        return await _sent(room, endpoint, Act.TEST_WEBHOOK, [event], by, None)

    return await once(request, room, caller, wanted, make, _sent_before)


@router.get("/{webhook_id}/deliveries", **documented(DeliveryList, "Deliveries", found=True, validated=True))
async def list_deliveries(request: Request, webhook_id: Id, query: Annotated[DeliveryQuery, Query()]) -> Response:
    """What became of events on their way to an endpoint, newest first; they are kept for 30 days."""
    room, caller = await admit_to_webhooks(request, Permission.READ_WEBHOOKS)
    endpoint_id = (await found_webhook(room, caller, webhook_id)).endpoint.id
    before = None if query.cursor is None else decode_cursor(query.cursor)
    state = None if query.state is None else DeliveryState(query.state)
    found = await room.read(lambda: room.webhooks.deliveries(endpoint_id, state, before, query.limit + 1))
    page = found[: query.limit]
    following = encode_cursor(page[-1].id) if len(found) > query.limit else None
    return answer({"deliveries": [delivery_view(each) for each in page], "next": following})


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/retry",
    **documented(DeliveryView, "The delivery, which is tried now", found=True, validated=True, body=True, status=202),
    openapi_extra=takes(ReasonIn, required=False),
)
async def retry_delivery(
    request: Request, webhook_id: Id, delivery_id: Annotated[str, Path(description="of the delivery")]
) -> Response:
    """Send an event again now, whatever became of it before. Its id stays, so that a receiver can tell."""
    room, caller = await admit_to_webhooks(request, Permission.WRITE_WEBHOOKS)
    wanted = await read_document(request, room, ReasonIn, optional=True)
    endpoint = (await found_webhook(room, caller, webhook_id)).endpoint
    by, known = By(caller.actor, wanted.reason or ""), delivery_id.lower()
    found = await room.write(lambda: room.webhooks.retry(endpoint, known, by)) if is_id(known) else None
    if found is None:
        raise not_found("There is no such delivery to this endpoint.")
    tell_delivery(room, endpoint.id)
    return answer(delivery_view(found), 202)


@router.post(
    "/{webhook_id}/replay",
    **documented(Sent, "The events are on their way", found=True, validated=True, body=True, status=202),
    openapi_extra=takes(ReplayIn, required=True, keyed=True),
)
async def replay(request: Request, webhook_id: Id) -> Response:
    """Send what happened within a time again, 1,000 events at most, also what was delivered before.

    Where there is more, `next_since` says from when on to go on.
    """
    room, caller = await admit_to_webhooks(request, Permission.WRITE_WEBHOOKS)
    wanted = await read_document(request, room, ReplayIn)
    endpoint = (await found_webhook(room, caller, webhook_id)).endpoint
    kept = events_kept(room, endpoint.organization)
    if wanted.since < datetime.now(UTC) - kept:
        raise invalid_field("since", "is too long ago", f"events are kept for {kept / timedelta(days=1):g} days")

    async def make(by: By) -> Response:
        events, following = await _between(room, endpoint, wanted.since, wanted.until or datetime.now(UTC))
        return await _sent(room, endpoint, Act.REPLAY_WEBHOOK, events, by, following)

    return await once(request, room, caller, wanted, make, _sent_before)


async def _between(
    room: Room, endpoint: Endpoint, since: datetime, until: datetime
) -> tuple[list[Item], datetime | None]:
    """The endpoint's events of that time, and from when on there is more."""
    whole = endpoint.organization is None
    wanted = Wanted(Scope(endpoint.organization), frozenset(endpoint.types), installation=whole)
    cursor: Cursor = await room.read(lambda: room.feed.at(since))
    head = await room.read(room.feed.head)
    found: list[Item] = []
    for _ in range(_MOST_READS):
        here = cursor
        page = await room.read(
            lambda: room.feed.since(here, organization=endpoint.organization, until=head)  # noqa: B023
        )
        fitting = (item for item in page.items if since <= item.at < until and wanted.admits(item))
        found += [item for item in fitting if not item.type.startswith(NEVER_SENT) and endpoint.takes(item.type)]
        cursor = page.cursor
        if len(found) > MOST_REPLAYED:
            return found[:MOST_REPLAYED], found[MOST_REPLAYED].at
        if not page.more or (page.items and min(item.at for item in page.items) >= until):
            return found, None
    return found, min(cursor.at, until)


async def _sent(
    room: Room, endpoint: Endpoint, act: Act, events: list[Item], by: By, following: datetime | None
) -> Response:
    sent = await room.write(lambda: room.webhooks.send(endpoint, act, events, by, following))
    tell_delivery(room, endpoint.id)
    return answer(sent.to_json(), 202)


async def _sent_before(kept: str) -> Response:
    return answer(orjson.loads(kept), 202)
