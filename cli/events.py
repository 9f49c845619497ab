"""`synthralos events`: everything that happens, over HTTP."""

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from cli.clients import client_of
from cli.options import Json, Url, output, utc
from cli.output import local
from cli.texts import one_line

app = typer.Typer(
    no_args_is_help=True,
    help="Follow what happens: jobs that end or are healed, waits, breakers, budgets. The server is SYNTHRALOS_URL "
    "(or --url), the key SYNTHRALOS_API_KEY.\n\ndocs/events.md has the types.",
)

Type = Annotated[
    list[str] | None,
    typer.Option("--type", help="Of this type, or of those that begin so, such as job.*; may be repeated."),
]
Since = Annotated[datetime | None, typer.Option(help="From this time on (UTC); else from now on.", show_default=False)]
Cursor = Annotated[
    str | None, typer.Option(help="Go on after this cursor, which --json shows as `cursor`.", show_default=False)
]


@app.callback()
def connection(url: Url = None) -> None:
    """Options for all of these commands."""


@app.command()
def tail(
    context: typer.Context,
    type_: Type = None,
    job: Annotated[str | None, typer.Option(help="Of this job.", show_default=False)] = None,
    run: Annotated[str | None, typer.Option(help="Of this run.", show_default=False)] = None,
    since: Since = None,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """Print what happens, while it happens, until Ctrl-C. A connection that breaks is made again, and nothing is lost.

    Examples: `synthralos events tail --type "job.*" --type breaker.opened`;
    `synthralos events tail --since 2026-11-27T08:00 --json | jq .type`
    """
    given = {"type": type_ or None, "job_id": job, "run_id": run, "since": utc(since)}
    filters: Any = {name: value for name, value in given.items() if value is not None}
    out = output(context, as_json)
    with client_of(context) as client:
        for event in client.feed.events(cursor=cursor, **filters):
            line = (
                json.dumps({**event.data, "cursor": event.id}, ensure_ascii=False) if out.as_json else _line(event.data)
            )
            typer.echo(line)


def _line(event: dict[str, Any]) -> str:
    about = event["job_id"] or event["subject"] or event["organization"] or "the installation"
    data = one_line(json.dumps(event["data"], ensure_ascii=False)) if event["data"] else ""
    at = local(datetime.fromisoformat(event["at"]))
    return f"{at}  {event['type']:<18} {about}  {data[:200]}".rstrip()
