"""`synthralos traces`: search what was done, and take it along as a file."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.options import Json, Url, output, utc
from cli.output import local, usd
from cli.tables import Column, Listing
from cli.texts import one_line
from synthralos_client import Client
from synthralos_client.observing import FeedbackFields, TraceFilters

app = typer.Typer(
    no_args_is_help=True,
    help="Search traces by words, figures and tags; export them.",
    rich_markup_mode="markdown",
)


_SAID = ("source", "label", "score", "comment")


class Sort(StrEnum):
    """The order of a list."""

    NEWEST = "newest"
    COST = "cost"
    DURATION = "duration"


class Form(StrEnum):
    """How a trace is exported."""

    JSON = "json"
    OTLP = "otlp"


@app.command("search")
def search(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(help='Words that are all there; "side by side" in quotes, begin* for beginnings.'),
    ] = None,
    state: Annotated[list[str] | None, typer.Option(help="Any of these.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(show_default=False)] = None,
    deployment: Annotated[str | None, typer.Option(help="That was called.", show_default=False)] = None,
    organization: Annotated[str | None, typer.Option(show_default=False)] = None,
    workspace: Annotated[str | None, typer.Option(show_default=False)] = None,
    user: Annotated[str | None, typer.Option(show_default=False)] = None,
    run: Annotated[str | None, typer.Option(help="Of this run.", show_default=False)] = None,
    tag: Annotated[str | None, typer.Option(help="NAME=VALUE of the jobs' metadata.", show_default=False)] = None,
    failure: Annotated[str | None, typer.Option(help="Class of a failure.", show_default=False)] = None,
    finding: Annotated[str | None, typer.Option(help="A guard that found something.", show_default=False)] = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on (UTC).", show_default=False)] = None,
    until: Annotated[datetime | None, typer.Option(help="Before this time (UTC).", show_default=False)] = None,
    min_cost: Annotated[str | None, typer.Option(help="In USD.", show_default=False)] = None,
    min_seconds: Annotated[float | None, typer.Option(min=0, show_default=False)] = None,
    min_tokens: Annotated[int | None, typer.Option(min=0, show_default=False)] = None,
    label: Annotated[str | None, typer.Option(help="Feedback was given under it.", show_default=False)] = None,
    min_score: Annotated[float | None, typer.Option(help="Of feedback.", show_default=False)] = None,
    max_score: Annotated[float | None, typer.Option(help="Of feedback.", show_default=False)] = None,
    without: Annotated[str | None, typer.Option(help="A word that is not there.", show_default=False)] = None,
    sort: Annotated[Sort, typer.Option(help="By cost and duration: finished jobs, the most first.")] = Sort.NEWEST,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Search traces.

    Examples: `synthralos traces search refund parcel --state failed`;
    `synthralos traces search --tag project=search --sort cost`
    """
    asked = [*(words or ()), *([f"-{without}"] if without else ())]
    given = {
        "q": " ".join(f'"{word}"' if " " in word else word for word in asked) or None, "state": state or None,
        "model": model, "deployment": deployment, "organization": organization, "workspace": workspace, "user": user,
        "run_id": run, "tag": tag, "failure_class": failure, "finding": finding, "created_after": utc(since),
        "created_before": utc(until), "min_cost_usd": min_cost, "min_seconds": min_seconds, "min_tokens": min_tokens,
        "label": label, "min_score": min_score, "max_score": max_score, "sort": str(sort),
    }  # fmt: skip
    filters: TraceFilters = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    with Client(url) as client:
        found = list(islice(client.observability.traces(page_size=min(limit, 200), **filters), limit))
    output(context, as_json).show({"traces": found}, lambda: [_table(found)])


@app.command("tail")
def tail(
    context: typer.Context,
    state: Annotated[list[str] | None, typer.Option(help="Any of these.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(show_default=False)] = None,
    deployment: Annotated[str | None, typer.Option(help="That was called last.", show_default=False)] = None,
    organization: Annotated[str | None, typer.Option(show_default=False)] = None,
    workspace: Annotated[str | None, typer.Option(show_default=False)] = None,
    user: Annotated[str | None, typer.Option(show_default=False)] = None,
    run: Annotated[str | None, typer.Option(help="Of this run.", show_default=False)] = None,
    failure: Annotated[str | None, typer.Option(help="Class of a failure.", show_default=False)] = None,
    min_cost: Annotated[str | None, typer.Option(help="In USD.", show_default=False)] = None,
    min_seconds: Annotated[float | None, typer.Option(min=0, show_default=False)] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Print jobs as they end, until Ctrl-C. A connection that breaks is made again, and nothing is lost.

    Examples: `synthralos traces tail --state failed`; `synthralos traces tail --min-cost 0.10 --json | jq .job_id`
    """
    given = {
        "state": state or None, "model": model, "deployment": deployment, "organization": organization,
        "workspace": workspace, "user": user, "run_id": run, "failure_class": failure, "min_cost_usd": min_cost,
        "min_seconds": min_seconds,
    }  # fmt: skip
    filters: Any = {name: value for name, value in given.items() if value is not None}
    out = output(context, as_json)
    with Client(url) as client:
        for event in client.feed.traces(**filters):
            typer.echo(dumps(event.data, ensure_ascii=False) if out.as_json else _ended(event.data))


def _ended(job: dict[str, Any]) -> str:
    cost = usd(Decimal(job["cost"]["usd"])) + ("" if job["cost"]["known"] else "+")
    at, said = local(datetime.fromisoformat(job["finished_at"])), job["failure_class"] or job.get("deployment") or ""
    return f"{at}  {job['state']:<9} {job['job_id']}  {job['seconds']:8.2f} s  {cost:>10}  {one_line(said)}"


@app.command("export")
def export(
    context: typer.Context,
    trace: Annotated[str, typer.Argument(help="The id of a trace or of a job.")],
    to: Annotated[Path, typer.Argument(help="The file; - is standard output.", allow_dash=True)] = Path("-"),
    form: Annotated[Form, typer.Option("--format", help="otlp: for OpenTelemetry's collectors.")] = Form.JSON,
    url: Url = None,
) -> None:
    """Write a trace to a file.

    Example: `synthralos traces export 0199… trace.json --format otlp`
    """
    with Client(url) as client:
        text = dumps(client.observability.export(trace, form.value), ensure_ascii=False, indent=2) + "\n"
    if str(to) == "-":
        typer.echo(text, nl=False)
        return
    to.write_text(text, encoding="utf-8")
    output(context, False).warn(f"{to}: {len(text):,} characters")


@app.command("feedback")
def feedback(
    context: typer.Context,
    job: Annotated[str, typer.Argument(help="The id of a job.")],
    score: Annotated[float | None, typer.Option(show_default=False)] = None,
    label: Annotated[str | None, typer.Option(help="What it is about.", show_default=False)] = None,
    comment: Annotated[str | None, typer.Option(show_default=False)] = None,
    source: Annotated[str, typer.Option(help="Who says it.")] = "human",
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Say something of a job's answer.

    Example: `synthralos traces feedback 0199… --label helpful --score 1 --comment "just what I needed"`
    """
    given = {"score": score, "label": label, "comment": comment, "source": source}
    said: FeedbackFields = {name: value for name, value in given.items() if value is not None}  # type: ignore[assignment]
    with Client(url) as client:
        found = client.observability.give_feedback(job, **said)
    columns = [Column("source"), Column("label"), Column("score", right=True), Column("comment")]
    rows = [[one_line(str(each[name] if each[name] is not None else "-")) for name in _SAID] for each in found]
    output(context, as_json).show({"feedback": found}, lambda: [Listing(columns, rows)])


def _table(found: list[dict[str, Any]]) -> Listing:
    columns = [
        Column("job"),
        Column("state"),
        Column("jobs", right=True),
        Column("started"),
        Column("cost", right=True),
    ]
    return Listing(columns, [_row(each) for each in found])


def _row(each: dict[str, Any]) -> list[str]:
    cost = each["cost"]
    return [
        each["matched_job"],
        one_line(each["state"]),
        f"{each['job_count']:,}",
        each["started_at"][:19].replace("T", " "),
        usd(Decimal(cost["usd"])) + ("" if cost["known"] else "+?"),
    ]
