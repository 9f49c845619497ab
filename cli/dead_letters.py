"""`synthralos dead-letters`: jobs that failed for good, what they failed of, and operations on many of them."""

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli import job_views as views
from cli.clients import client_of
from cli.exits import Exit
from cli.job_files import given
from cli.line_files import read_lines, write_lines
from cli.options import Json, Url, output
from cli.output import Output, local
from cli.tables import Column, Listing
from cli.texts import one_line, printable
from synthralos.domain.failures import FailureClass
from synthralos_client.models import Job, parse_time

app = typer.Typer(
    no_args_is_help=True,
    help="Dead letters: jobs that failed for good. The server is SYNTHRALOS_URL (or --url), the key "
    "SYNTHRALOS_API_KEY.\n\nFirst `causes`, then `retry` or `reroute` what has one cause; `operations` shows it.",
)

Class = Annotated[FailureClass | None, typer.Option("--class", help="Of this failure class.", show_default=False)]
Model = Annotated[str | None, typer.Option(help="That asked for this model.", show_default=False)]
Deployment = Annotated[str | None, typer.Option(help="Whose last call went to this deployment.", show_default=False)]
Workspace = Annotated[str | None, typer.Option(show_default=False)]
User = Annotated[str | None, typer.Option(show_default=False)]
RunId = Annotated[str | None, typer.Option(help="Of this run.", show_default=False)]
After = Annotated[datetime | None, typer.Option(help="That failed from this time on (UTC).", show_default=False)]
Before = Annotated[datetime | None, typer.Option(help="That failed before this time (UTC).", show_default=False)]
Reason = Annotated[str, typer.Option(help="Kept with each job's history.", show_default=False)]
PerSecond = Annotated[float | None, typer.Option(min=0.001, help="Jobs a second at most.", show_default=False)]
Id = Annotated[str, typer.Argument(metavar="ID", help="The operation's id.")]


@app.callback()
def connection(
    url: Url = None,
) -> None:
    """Options for all of these commands."""


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    failure_class: Class = None,
    model: Model = None,
    deployment: Deployment = None,
    workspace: Workspace = None,
    user: User = None,
    run_id: RunId = None,
    failed_after: After = None,
    failed_before: Before = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List dead letters, newest first.

    Example: `synthralos dead-letters list --class overloaded --failed-after 2026-01-31T08:00`
    """
    filters = _filter(failure_class, model, deployment, workspace, user, run_id, failed_after, failed_before)
    with client_of(context) as client:
        jobs = list(islice(client.healing.dead_letters(page_size=min(limit, 200), **filters), limit))
    output(context, as_json).show({"jobs": jobs}, lambda: views.table([Job.from_json(job) for job in jobs]))


@app.command()
def causes(
    context: typer.Context,
    failure_class: Class = None,
    model: Model = None,
    deployment: Deployment = None,
    workspace: Workspace = None,
    user: User = None,
    run_id: RunId = None,
    failed_after: After = None,
    failed_before: Before = None,
    as_json: Json = False,
) -> None:
    """Group dead letters by what they failed of, the most frequent first."""
    filters = _filter(failure_class, model, deployment, workspace, user, run_id, failed_after, failed_before)
    with client_of(context) as client:
        found = client.healing.dead_letter_causes(**filters)
    output(context, as_json).show({"causes": found}, lambda: _causes(found))


@app.command()
def retry(
    context: typer.Context,
    failure_class: Class = None,
    model: Model = None,
    deployment: Deployment = None,
    workspace: Workspace = None,
    user: User = None,
    run_id: RunId = None,
    failed_after: After = None,
    failed_before: Before = None,
    per_second: PerSecond = None,
    name: Annotated[str, typer.Option(help="What to call the operation.", show_default=False)] = "",
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Send all that fit through again, in the background. Without a condition: all that the key may see.

    Example: `synthralos dead-letters retry --class overloaded --reason "the provider is back" --per-second 200`
    """
    filters = _filter(failure_class, model, deployment, workspace, user, run_id, failed_after, failed_before)
    with client_of(context) as client:
        made = client.healing.operate_on_dead_letters("retry", filters, name=name, per_second=per_second, reason=reason)
    _show(output(context, as_json), made)


@app.command()
def reroute(
    context: typer.Context,
    failure_class: Class = None,
    model: Model = None,
    deployment: Deployment = None,
    workspace: Workspace = None,
    user: User = None,
    run_id: RunId = None,
    failed_after: After = None,
    failed_before: Before = None,
    pin: Annotated[str | None, typer.Option(help="The one deployment to use.", show_default=False)] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A deployment to avoid; may be repeated.")] = None,
    region: Annotated[str | None, typer.Option(show_default=False)] = None,
    per_second: PerSecond = None,
    reason: Reason = "",
    as_json: Json = False,
) -> None:
    """Have all that fit routed anew, in the background. Their data's classification holds whatever is asked for.

    Example: `synthralos dead-letters reroute --class content_filtered --exclude openai/gpt-5-mini@us`
    """
    filters = _filter(failure_class, model, deployment, workspace, user, run_id, failed_after, failed_before)
    changes = given({"pin": pin, "exclude": exclude or None, "region": region})
    with client_of(context) as client:
        made = client.healing.operate_on_dead_letters(
            "reroute", filters, changes=changes, per_second=per_second, reason=reason
        )
    _show(output(context, as_json), made)


@app.command("export")
def export_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to, as JSON lines; - is standard output.")],
    failure_class: Class = None,
    model: Model = None,
    deployment: Deployment = None,
    workspace: Workspace = None,
    user: User = None,
    run_id: RunId = None,
    failed_after: After = None,
    failed_before: Before = None,
) -> None:
    """Export dead letters with what was asked, a JSON object a line; without a condition all that the key may see.

    Example: `synthralos dead-letters export letters.jsonl --class overloaded`
    """
    filters = _filter(failure_class, model, deployment, workspace, user, run_id, failed_after, failed_before)
    with client_of(context) as client:
        count = write_lines(file, client.healing.export_dead_letters(**filters))
    typer.echo(f"{count} dead letters", err=True)


@app.command("import")
def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What was exported; - is standard input.")],
    as_json: Json = False,
) -> None:
    """Make new jobs of exported dead letters, here or elsewhere. What was imported before does nothing.

    Example: `synthralos dead-letters import letters.jsonl`
    """
    counts = {"imported": 0, "repeated": 0, "invalid": 0}
    with client_of(context) as client:
        for number, line in enumerate(client.healing.import_dead_letters(read_lines(file)), 1):
            counts[line["outcome"]] += 1
            for error in line["errors"]:
                told = f"line {number}: {error['field']} {error['problem']}: {error['remedy']}"
                typer.echo(f"synthralos: {printable(told)}", err=True)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    output(context, as_json).show(counts, lambda: Text(told))
    if counts["invalid"]:
        raise typer.Exit(Exit.REFUSED)


@app.command()
def operations(
    context: typer.Context,
    operation_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One of them.")] = None,
    as_json: Json = False,
) -> None:
    """List the newest operations, or show one, with how far it is."""
    with client_of(context) as client:
        healing = client.healing
        found = (
            healing.dead_letter_operations() if operation_id is None else [healing.dead_letter_operation(operation_id)]
        )
    output(context, as_json).show({"operations": found}, lambda: _operations(found))


@app.command()
def pause(context: typer.Context, operation_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Pause an operation: it goes on from there when it is resumed."""
    _change(context, operation_id, "pause", reason, as_json)


@app.command()
def resume(context: typer.Context, operation_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Have a paused operation go on."""
    _change(context, operation_id, "resume", reason, as_json)


@app.command()
def cancel(context: typer.Context, operation_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Call an operation off. What it did stays done."""
    _change(context, operation_id, "cancel", reason, as_json)


@app.command()
def repeat(context: typer.Context, operation_id: Id, reason: Reason = "", as_json: Json = False) -> None:
    """Do the same to the dead letters that there are now."""
    _change(context, operation_id, "repeat", reason, as_json)


def _change(context: typer.Context, operation_id: str, change: Any, reason: str, as_json: bool) -> None:
    with client_of(context) as client:
        after = client.healing.change_dead_letter_operation(operation_id, change, reason=reason)
    _show(output(context, as_json), after)


def _filter(*values: Any) -> Any:
    names = ("failure_class", "model", "deployment", "workspace", "user", "run_id", "failed_after", "failed_before")
    return given(dict(zip(names, values, strict=True)))


def _show(out: Output, operation: dict[str, Any]) -> None:
    out.show(operation, lambda: Text(f"{operation['id']}  {operation['state']}, {operation['done']} done"))


def _causes(found: list[dict[str, Any]]) -> Listing:
    columns = (
        Column("jobs", right=True), Column("class"), Column("code"), Column("status"), Column("first"), Column("last"),
        Column("message", cut=True),
    )  # fmt: skip
    rows = [
        [
            str(each["jobs"]), each["failure_class"], printable(each["provider_code"] or ""),
            str(each["http_status"] or ""), local(parse_time(each["first_failed_at"])),
            local(parse_time(each["last_failed_at"])), one_line(each["message"]),
        ]
        for each in found
    ]  # fmt: skip
    return Listing(columns, rows)


def _operations(found: list[dict[str, Any]]) -> Listing:
    columns = (
        Column("id"), Column("act"), Column("state"), Column("done", right=True), Column("filter", cut=True),
        Column("created"), Column("by"), Column("name", cut=True),
    )  # fmt: skip
    rows = [
        [
            each["id"], each["act"], each["state"], str(each["done"]),
            printable(", ".join(f"{name}={value}" for name, value in each["filter"].items())),
            local(parse_time(each["created_at"])), printable(each["created_by"]), printable(each["name"]),
        ]
        for each in found
    ]  # fmt: skip
    return Listing(columns, rows)
