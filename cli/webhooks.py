"""`synthralos webhooks`: where events are sent, over HTTP."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.clients import client_of
from cli.options import Json, Url, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

app = typer.Typer(
    no_args_is_help=True,
    help="Make, see, pause, test and remove webhook endpoints, and see what became of deliveries. The server is "
    "SYNTHRALOS_URL (or --url), the key SYNTHRALOS_API_KEY.\n\nEvents are signed by Standard Webhooks: "
    "docs/webhooks.md has a receiver in ten lines.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id.")]
Reason = Annotated[str, typer.Option(help="Why; it goes on record.", show_default=False)]
_ENDPOINTS = (Column("id"), Column("url"), Column("types"), Column("state", cut=True), Column("failures", right=True))
_DELIVERIES = (
    Column("id"), Column("type"), Column("state"), Column("tries", right=True), Column("status", right=True),
    Column("next"), Column("reason", cut=True),
)  # fmt: skip
_SAID = ("url", "description", "types", "enabled", "content", "residency", "form")


@app.callback()
def connection(url: Url = None) -> None:
    """Options for all of these commands."""


@app.command("list")
def list_webhooks(context: typer.Context, as_json: Json = False) -> None:
    """List the endpoints that the key may see."""
    with client_of(context) as client:
        found = list(client.webhooks.list())
    output(context, as_json).show({"webhooks": found}, lambda: Listing(_ENDPOINTS, [_row(each) for each in found]))


@app.command()
def show(context: typer.Context, webhook_id: Id, as_json: Json = False) -> None:
    """Print one endpoint and how it stands, as JSON."""
    with client_of(context) as client:
        _show(context, as_json, client.webhooks.get(webhook_id))


@app.command()
def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="https://…, where the receiver listens.")],
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", help="Such as job.failed or job.*; may be repeated.", show_default="all"),
    ] = None,
    description: Annotated[str, typer.Option(help="For people.", show_default=False)] = "",
    content: Annotated[bool, typer.Option("--content", help="Send prompts and answers along.")] = False,
    residency: Annotated[
        str | None, typer.Option(help="eu: the receiver may have data classified eu.", show_default=False)
    ] = None,
    openai: Annotated[bool, typer.Option("--openai", help="In the form that OpenAI's SDKs know.")] = False,
    organization: Annotated[str | None, typer.Option(help="Whose events, for keys of the installation.")] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Make an endpoint; its secret is shown this once. It gets what happens from now on.

    Example: `synthralos webhooks create https://example.com/hooks --type "job.*" --type breaker.opened`
    """
    with client_of(context) as client:
        made = client.webhooks.create(
            url, types=type_ or [], description=description, content=content, residency=residency,
            form="openai" if openai else "synthralos", organization=organization, reason=reason,
        )  # fmt: skip
    _show_secret(context, as_json, made)


@app.command()
def pause(context: typer.Context, webhook_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Send nothing there until `resume`; what happens meanwhile is sent then."""
    _enable(context, as_json, webhook_id, False, reason)


@app.command()
def resume(context: typer.Context, webhook_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Send events there again, from where it stopped; also where too many failures had disabled it."""
    _enable(context, as_json, webhook_id, True, reason)


@app.command()
def remove(context: typer.Context, webhook_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Remove an endpoint and what is on its way there."""
    with client_of(context) as client:
        removed = client.webhooks.remove(webhook_id, reason=reason or None)
    output(context, as_json).show(removed, lambda: Text(f"{webhook_id} is removed"))


@app.command("rotate-secret")
def rotate_secret(
    context: typer.Context,
    webhook_id: Id,
    overlap: Annotated[float, typer.Option(min=0, help="Seconds for which the old secret signs, too.")] = 86_400.0,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Make a new secret, shown this once; the old one signs beside it for a while, so that no event is refused."""
    with client_of(context) as client:
        made = client.webhooks.rotate_secret(webhook_id, overlap_seconds=overlap, reason=reason)
    _show_secret(context, as_json, made)


@app.command("test")
def send_test(context: typer.Context, webhook_id: Id, as_json: Json = False) -> None:
    """Send an event of the type webhook.test; see `synthralos webhooks deliveries` for what came of it."""
    with client_of(context) as client:
        sent = client.webhooks.test(webhook_id)
    output(context, as_json).show(sent, lambda: Text("\n".join(sent["deliveries"])))


@app.command()
def deliveries(
    context: typer.Context,
    webhook_id: Id,
    state: Annotated[str | None, typer.Option(help="pending, delivered or set_aside.", show_default="all")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List what became of events on their way to an endpoint, newest first."""
    found: list[dict[str, Any]] = []
    with client_of(context) as client:
        for each in client.webhooks.deliveries(webhook_id, state=state, page_size=min(limit, 200)):  # type: ignore[arg-type]
            found.append(each)
            if len(found) == limit:
                break
    output(context, as_json).show(
        {"deliveries": found}, lambda: Listing(_DELIVERIES, [_delivery(each) for each in found])
    )


@app.command()
def retry(
    context: typer.Context,
    webhook_id: Id,
    delivery_id: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.")],
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Send an event again now, whatever became of it before."""
    with client_of(context) as client:
        _show(context, as_json, client.webhooks.retry(webhook_id, delivery_id, reason=reason))


@app.command()
def replay(
    context: typer.Context,
    webhook_id: Id,
    since: Annotated[datetime, typer.Argument(help="From this time on (UTC).")],
    until: Annotated[datetime | None, typer.Argument(help="Before this time (UTC).", show_default="now")] = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Send what happened within a time again, also what was delivered.

    Example: `synthralos webhooks replay 0199… 2026-11-27T08:00 2026-11-27T09:00`
    """
    begin: str | None = since.replace(tzinfo=UTC).isoformat()
    end = None if until is None else until.replace(tzinfo=UTC).isoformat()
    ids: list[str] = []
    with client_of(context) as client:
        while begin is not None:
            sent = client.webhooks.replay(webhook_id, begin, end, reason=reason)
            ids += sent["deliveries"]
            begin = sent["next_since"] if sent["next_since"] != begin else None
    output(context, as_json).show({"deliveries": ids}, lambda: Text(f"{len(set(ids))} events are on their way"))


def _enable(context: typer.Context, as_json: bool, webhook_id: str, enabled: bool, reason: str) -> None:
    with client_of(context) as client:
        now = client.webhooks.get(webhook_id)
        said: Any = {name: now[name] for name in _SAID if name != "url"}
        _show(
            context,
            as_json,
            client.webhooks.replace(
                webhook_id, now["url"], version=now["version"], **{**said, "enabled": enabled, "reason": reason}
            ),
        )


def _show_secret(context: typer.Context, as_json: bool, made: dict[str, Any]) -> None:
    told = f"{made['id']} sends to {one_line(made['url'])}\nsecret, shown this once: {made['secret']}"
    output(context, as_json).show(made, lambda: Text(told))


def _show(context: typer.Context, as_json: bool, found: dict[str, Any]) -> None:
    output(context, as_json).show(found, lambda: Text(json.dumps(found, indent=2, ensure_ascii=False)))


def _row(webhook: dict[str, Any]) -> list[str]:
    state = "" if webhook["enabled"] else f"disabled: {one_line(webhook['disabled_because'] or 'by hand')}"
    types = " ".join(webhook["types"]) or "all"
    return [webhook["id"], one_line(webhook["url"]), one_line(types), state, str(webhook["failures"] or "")]


def _delivery(delivery: dict[str, Any]) -> list[str]:
    following = "" if delivery["next_at"] is None else local(datetime.fromisoformat(delivery["next_at"]))
    figures = [str(delivery["tries"]), str(delivery["status"] or "")]
    return [
        delivery["id"],
        delivery["type"],
        delivery["state"],
        *figures,
        following,
        one_line(delivery["reason"] or ""),
    ]
