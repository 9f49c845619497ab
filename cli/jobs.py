"""`synthralos jobs`: submitting, reading and moving jobs, over HTTP with the client that everybody uses."""

from itertools import islice
from typing import Annotated, Any

import typer
from rich.console import Group

from cli import job_views as views
from cli.clients import client_of
from cli.evidence import evidence_parts
from cli.exits import Exit
from cli.job_files import given
from cli.job_moves import ids_of, in_bulk, one_by_one
from cli.job_streaming import tail
from cli.job_submitting import submit
from cli.job_waiting import wait_and_show
from cli.options import Json, Timeout, Url, output
from cli.waterfall import waterfall
from synthralos.domain.states import Lane, Stage, State

app = typer.Typer(
    no_args_is_help=True,
    help="Submit, list, show and move jobs. The server is SYNTHRALOS_URL (or --url), the key SYNTHRALOS_API_KEY.",
)

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs; - reads them from standard input.")]
Reason = Annotated[str | None, typer.Option(help="Kept with the job's history.", show_default=False)]


@app.callback()
def connection(url: Url = None) -> None:
    """Options for all of these commands."""


app.command()(submit)


@app.command("list")
def list_jobs(
    context: typer.Context,
    state: Annotated[list[State] | None, typer.Option(help="May be repeated.", show_default=False)] = None,
    stage: Annotated[Stage | None, typer.Option(show_default=False)] = None,
    model: Annotated[str | None, typer.Option(show_default=False)] = None,
    lane: Annotated[Lane | None, typer.Option(show_default=False)] = None,
    workspace: Annotated[str | None, typer.Option(show_default=False)] = None,
    user: Annotated[str | None, typer.Option(show_default=False)] = None,
    run_id: Annotated[str | None, typer.Option(show_default=False)] = None,
    trace_id: Annotated[str | None, typer.Option(show_default=False)] = None,
    api_key_id: Annotated[str | None, typer.Option(help="Submitted with this API key.", show_default=False)] = None,
    created_after: Annotated[str | None, typer.Option(help="RFC 3339 time with offset.", show_default=False)] = None,
    created_before: Annotated[str | None, typer.Option(help="RFC 3339 time with offset.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List jobs, newest first.

    Examples: `synthralos jobs list --state failed`; `synthralos --json jobs list --run-id nightly --limit 1000`
    """
    asked: dict[str, Any] = {
        "state": list(state or []),
        "stage": stage,
        "model": model,
        "lane": lane,
        "workspace": workspace,
        "user": user,
        "run_id": run_id,
        "trace_id": trace_id,
        "api_key_id": api_key_id,
        "created_after": created_after,
        "created_before": created_before,
    }
    filters = {name: value for name, value in asked.items() if value}
    with client_of(context) as client:
        jobs = list(islice(client.jobs(page_size=min(limit, 200), **filters), limit))
    output(context, as_json).show({"jobs": [job.raw for job in jobs]}, lambda: views.table(jobs))


@app.command()
def show(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="ID")],
    timeline: Annotated[bool, typer.Option("--timeline", help="Also everything that happened, with times.")] = False,
    as_json: Json = False,
) -> None:
    """Show a job: its state, plan, cost and result.

    Example: `synthralos jobs show 0199… --timeline`
    """
    with client_of(context) as client:
        job = client.get(job_id)
        trace = client.trace(job_id) if timeline else None
    data = job.raw if trace is None else {**job.raw, "trace": trace}
    parts = [views.details(job)] + ([] if trace is None else [waterfall(trace, job.id)])
    output(context, as_json).show(data, lambda: Group(*parts))


@app.command("evidence")
def show_evidence(
    context: typer.Context, job_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False
) -> None:
    """Show where each call of a job went and why, and whether that kept to what was demanded; exits with 1 if not.

    Example: `synthralos jobs evidence 0199…`
    """
    with client_of(context) as client:
        found = client.evidence(job_id)
    output(context, as_json).show(found, lambda: evidence_parts(found))
    if found["conclusion"]["holds"] is False:
        raise typer.Exit(Exit.FAILED)


@app.command()
def retry(context: typer.Context, job_ids: Ids, reason: Reason = None, as_json: Json = False) -> None:
    """Send jobs that did not succeed through again.

    Example: `synthralos jobs retry 0199… --reason "provider is back"`
    """
    ids = ids_of(job_ids)
    with client_of(context) as client:
        in_bulk(output(context, as_json), lambda: client.retry_many(ids, reason=reason))


@app.command()
def reroute(
    context: typer.Context,
    job_ids: Ids,
    pin: Annotated[str | None, typer.Option(help="The one deployment to use.", show_default=False)] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A deployment to avoid; may be repeated.")] = None,
    region: Annotated[str | None, typer.Option(show_default=False)] = None,
    strategy: Annotated[str | None, typer.Option(show_default=False)] = None,
    fallback: Annotated[bool | None, typer.Option(help="Whether other deployments may follow.")] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Have jobs routed anew. The data's classification holds whatever is asked for.

    Example: `synthralos jobs reroute 0199… --exclude sandbox/small@us`
    """
    asked: dict[str, Any] = {
        "pin": pin,
        "exclude": exclude or None,
        "region": region,
        "strategy": strategy,
        "fallback": fallback,
        "reason": reason,
    }
    ids, options = ids_of(job_ids), given(asked)
    with client_of(context) as client:
        one_by_one(output(context, as_json), ids, lambda job_id: client.reroute(job_id, **options))


@app.command()
def cancel(context: typer.Context, job_ids: Ids, reason: Reason = None, as_json: Json = False) -> None:
    """Call jobs off.

    Example: `synthralos jobs cancel 0199… 0199… --reason "not needed any more"`; `synthralos jobs cancel - < ids.txt`
    """
    ids = ids_of(job_ids)
    with client_of(context) as client:
        in_bulk(output(context, as_json), lambda: client.cancel_many(ids, reason=reason))


@app.command("tail")
def tail_job(
    context: typer.Context, job_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False
) -> None:
    """Show the answer of a job while it is written; exits with 1 unless it succeeds.

    Example: `synthralos jobs tail 0199…`
    """
    with client_of(context) as client:
        tail(client, output(context, as_json), job_id, as_json=bool(as_json))


@app.command("wait")
def wait_for(context: typer.Context, job_ids: Ids, timeout: Timeout = None, as_json: Json = False) -> None:
    """Wait until jobs are done, and show them; exits with 1 unless all of them succeeded.

    Example: `synthralos jobs wait 0199… 0199… --timeout 60`
    """
    ids = ids_of(job_ids)
    with client_of(context) as client:
        client.get(ids[0])  # a server that was never there is told at once; one that goes is waited for
        wait_and_show(client, output(context, as_json), ids, timeout)
