"""Webhook endpoints over HTTP: made, read, changed, removed. What is done with them is `webhook_acts`'."""

import ipaddress
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import conflict, forbidden, invalid_field, not_found, outdated
from api.room import Room, admit
from api.v1.configuration_views import ReasonQuery
from api.v1.feed import check_types
from api.v1.idempotency import once
from api.v1.queries import decode_cursor, encode_cursor
from api.v1.schedule_views import PageQuery
from api.v1.schedules import expected_version
from api.v1.webhook_views import WebhookIn, WebhookList, WebhookView, WebhookWithSecret, webhook_view
from pipelines.providers.transport.addresses import split
from synthralos.bus.protocol import Topic
from synthralos.domain.addresses import may_be_called
from synthralos.domain.ids import is_id, new_id
from synthralos.domain.permissions import Permission
from synthralos.domain.webhooks import Endpoint, Form, Secret, new_secret
from synthralos.store.admin.audit import By
from synthralos.store.admin.policies import Outdated
from synthralos.store.admin.webhooks import StoredEndpoint

router = APIRouter(prefix="/api/v1/webhooks", tags=["webhooks"])

Id = Annotated[str, Path(description="of the endpoint")]
IfMatch = Annotated[
    str | None, Header(max_length=100, description='the version that the change was made of: `"3"`, as ETag gave it')
]


@router.get("", **documented(WebhookList, "The endpoints, oldest first", validated=True))
async def list_webhooks(request: Request, query: Annotated[PageQuery, Query()]) -> Response:
    """List the webhook endpoints that the key may see."""
    room, caller = await admit_to_webhooks(request, Permission.READ_WEBHOOKS)
    after = None if query.cursor is None else decode_cursor(query.cursor)
    found = await room.read(lambda: room.webhooks.page(caller.scope, after, query.limit + 1))
    page = found[: query.limit]
    following = encode_cursor(page[-1].endpoint.id) if len(found) > query.limit else None
    return answer({"webhooks": [webhook_view(each) for each in page], "next": following})


@router.post(
    "",
    **documented(
        WebhookWithSecret, "The new endpoint, with its secret", validated=True, body=True, status=201, conflicting=True
    ),
    openapi_extra=takes(WebhookIn, required=True, keyed=True),
)
async def create_webhook(request: Request) -> Response:
    """Make an endpoint. It gets what happens from now on. Its secret is shown this once."""
    room, caller = await admit_to_webhooks(request, Permission.WRITE_WEBHOOKS)
    wanted = await read_document(request, room, WebhookIn)
    if caller.scope.organization is not None and wanted.organization not in (None, caller.scope.organization):
        raise forbidden("The key is bound to another organization.")
    secret = new_secret()
    endpoint = _endpoint(room, wanted, new_id(), caller.scope.organization or wanted.organization, (Secret(secret),))
    head = await room.read(room.feed.head)

    async def make(by: By) -> Response:
        stored = await room.write(lambda: room.webhooks.create(endpoint, head, by))
        tell_delivery(room, endpoint.id)
        return with_secret(stored, secret, 201)

    async def again(made: str) -> Response:
        raise conflict(f"This key made the endpoint {made}; its secret was shown that once. Rotate it to have another.")

    return await once(request, room, caller, wanted, make, again)


@router.get("/{webhook_id}", **documented(WebhookView, "The endpoint", found=True))
async def get_webhook(request: Request, webhook_id: Id) -> Response:
    """One endpoint and how it stands, with its version as ETag."""
    room, caller = await admit_to_webhooks(request, Permission.READ_WEBHOOKS)
    return answered(await found_webhook(room, caller, webhook_id))


@router.put(
    "/{webhook_id}",
    **documented(WebhookView, "The endpoint afterwards", found=True, validated=True, versioned=True, body=True),
    openapi_extra=takes(WebhookIn, required=True),
)
async def replace_webhook(request: Request, webhook_id: Id, if_match: IfMatch = None) -> Response:
    """Replace what an endpoint says; whose it is and its secrets stay. `enabled` pauses it, or has it go on.

    What was to be sent while it was paused is sent when it is enabled.
    """
    room, caller = await admit_to_webhooks(request, Permission.WRITE_WEBHOOKS)
    wanted, expected = await read_document(request, room, WebhookIn), expected_version(if_match)
    before = (await found_webhook(room, caller, webhook_id)).endpoint
    if wanted.organization not in (None, before.organization):
        raise invalid_field("organization", "cannot be changed", "leave it out, or make another endpoint")
    made = _endpoint(room, wanted, before.id, before.organization, before.secrets)
    if not made.enabled and not before.enabled:
        made = replace(made, disabled_because=before.disabled_because)
    by = By(caller.actor, wanted.reason)
    outcome = await room.write(lambda: room.webhooks.replace(made, by, expected))
    tell_delivery(room, made.id)
    return _settled(outcome)


@router.delete("/{webhook_id}", **documented(WebhookView, "It, as it was", found=True, validated=True, versioned=True))
async def remove_webhook(
    request: Request, webhook_id: Id, query: Annotated[ReasonQuery, Query()], if_match: IfMatch = None
) -> Response:
    """Remove an endpoint and what is on its way there."""
    room, caller = await admit_to_webhooks(request, Permission.WRITE_WEBHOOKS)
    endpoint_id = (await found_webhook(room, caller, webhook_id)).endpoint.id
    by, expected = By(caller.actor, query.reason), expected_version(if_match)
    outcome = await room.write(lambda: room.webhooks.remove(endpoint_id, caller.scope, by, expected))
    tell_delivery(room, endpoint_id)
    return _settled(outcome)


async def admit_to_webhooks(request: Request, permission: Permission) -> tuple[Room, Caller]:
    """As `admit`; an endpoint is an organization's, so who is bound to a part of one has none."""
    room, caller = await admit(request, permission)
    if caller.scope.workspace is not None or caller.scope.user is not None:
        raise forbidden("Webhooks are an organization's: use a key that is not bound to a workspace or a user.")
    return room, caller


async def found_webhook(room: Room, caller: Caller, webhook_id: str) -> StoredEndpoint:
    """The endpoint; raises a 404 where there is none that the caller may see."""
    wanted = webhook_id.lower()
    found = await room.read(lambda: room.webhooks.get(wanted, caller.scope)) if is_id(wanted) else None
    if found is None:
        raise no_webhook()
    return found


def no_webhook() -> Exception:
    """404."""
    return not_found("There is no such webhook endpoint, or none that this key may see.")


def answered(stored: StoredEndpoint) -> Response:
    """The endpoint with its version as ETag."""
    return answer(webhook_view(stored), 200, {"ETag": f'"{stored.endpoint.version}"'})


def with_secret(stored: StoredEndpoint, secret: str, status: int) -> Response:
    """The endpoint with a secret that was just made."""
    headers = {"ETag": f'"{stored.endpoint.version}"', "Cache-Control": "no-store"}
    return answer({**webhook_view(stored), "secret": secret}, status, headers)


def tell_delivery(room: Room, endpoint_id: str) -> None:
    """Have the leader look at once."""
    room.threads.submit(room.core.bus.publish, Topic.FEED, [endpoint_id])


def _endpoint(
    room: Room, wanted: WebhookIn, endpoint_id: str, organization: str | None, secrets: tuple[Secret, ...]
) -> Endpoint:
    check_types(wanted.types, "types")
    _check_url(room, wanted.url)
    residency = wanted.residency and wanted.residency.strip().lower()
    return Endpoint(
        endpoint_id, organization, wanted.url, wanted.description, tuple(wanted.types), wanted.enabled, wanted.content,
        residency or None, Form(wanted.form), secrets,
    )  # fmt: skip


def _check_url(room: Room, url: str) -> None:
    """What can be known before the name is looked up, which is done, and checked, with every delivery."""
    networks = room.core.settings.private_webhook_networks
    try:
        origin, _ = split(url)
    except (ValueError, UnicodeError) as error:
        raise invalid_field("url", f"cannot be called: {error}", "send such as https://example.com/hooks") from None
    if origin.scheme == "http" and not networks:
        remedy = "use https://, or have the operators name the receiver's network in WEBHOOK_NETWORKS"
        raise invalid_field("url", "is not encrypted", remedy)
    try:
        ipaddress.ip_address(origin.host)
    except ValueError:
        return
    if not may_be_called(origin.host, networks):
        remedy = "use a public address, or have the operators name the network in WEBHOOK_NETWORKS"
        raise invalid_field("url", "leads to a private address", remedy)


def _settled(outcome: StoredEndpoint | Outdated | None) -> Response:
    if outcome is None:
        raise no_webhook()
    if isinstance(outcome, Outdated):
        raise outdated(f"The endpoint is at version {outcome.version} now: read it again, and send that in If-Match.")
    return answered(outcome)
