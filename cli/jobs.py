"""`synthralos jobs`: submitting, reading and moving jobs, over HTTP with the client that everybody uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Group

from cli import job_views as views
from cli.evidence import evidence_parts
from cli.exits import Exit
from cli.job_files import Request, as_embeddings, given, read_requests
from cli.job_moves import ids_of, in_bulk, one_by_one
from cli.job_streaming import tail
from cli.job_waiting import wait_through
from cli.options import Json, Url, output
from cli.output import Output
from cli.waterfall import waterfall
from synthralos.domain.states import Lane, Stage, State
from synthralos_client import Client, Job

app = typer.Typer(
    no_args_is_help=True,
    help="Submit, list, show and move jobs. The server is SYNTHRALOS_URL (or --url), the key SYNTHRALOS_API_KEY.",
)

RETRIES = 3
"""Somebody sits in front of it: a server that is not there is told within two seconds."""

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of jobs; - reads them from standard input.")]
Reason = Annotated[str | None, typer.Option(help="Kept with the job's history.", show_default=False)]
Timeout = Annotated[float | None, typer.Option(help="Seconds to wait at most.", show_default=False)]


@app.callback()
def connection(url: Url = None) -> None:
    """Options for all of these commands."""


@app.command()
def submit(
    context: typer.Context,
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - reads it from standard input.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", help="A .txt file: a prompt a line; else prompts or job requests as JSON; - is stdin."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="auto, provider/model, a deployment, or an alias.", show_default="auto")
    ] = None,
    max_output_tokens: Annotated[int | None, typer.Option(min=1, show_default=False)] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, show_default=False)] = None,
    lane: Annotated[Lane | None, typer.Option(show_default=False)] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds until it is too late.", show_default=False)] = None,
    run_id: Annotated[str | None, typer.Option(help="Groups the jobs of one run.", show_default=False)] = None,
    metadata: Annotated[list[str] | None, typer.Option("--meta", metavar="NAME=VALUE")] = None,
    classification: Annotated[str | None, typer.Option(help="eu: EU deployments only.", show_default=False)] = None,
    region: Annotated[str | None, typer.Option(show_default=False)] = None,
    pin: Annotated[str | None, typer.Option(help="The one deployment to use.", show_default=False)] = None,
    max_cost: Annotated[str | None, typer.Option(help="USD for one attempt.", show_default=False)] = None,
    on_limit: Annotated[
        Literal["wait", "reject"] | None,
        typer.Option(help="Over a rate limit: wait, or be denied.", show_default="wait"),
    ] = None,
    max_wait: Annotated[float | None, typer.Option(min=0, help="Seconds to wait for rate limits at most.")] = None,
    private_data: Annotated[
        Literal["flag", "redact", "refuse"] | None,
        typer.Option(help="Secrets and personal data: at least flag, replace, or refuse.", show_default=False),
    ] = None,
    restore_private_data: Annotated[
        bool, typer.Option("--restore", help="Put back into the answer what was replaced.")
    ] = False,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="The result of an earlier, equal request may answer it.")
    ] = False,
    repair: Annotated[
        Literal["none", "again", "explain"] | None,
        typer.Option(help="Where the answer does not fit: give up, ask again, or say why.", show_default="explain"),
    ] = None,
    coalesce: Annotated[
        Literal["never", "allow"] | None,
        typer.Option(
            help="allow: an equal job in flight answers it, too; never: an embedding gets a call of its own.",
            show_default=False,
        ),
    ] = None,
    zero_retention: Annotated[
        bool, typer.Option("--zero-retention", help="Only go where the provider is declared to keep nothing.")
    ] = False,
    service_tier: Annotated[
        Literal["auto", "standard", "flex", "priority"] | None,
        typer.Option(help="The provider's tier; auto: flex for what can wait, then standard.", show_default=False),
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key never submits twice.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer while it is written.")] = False,
    embed: Annotated[
        bool, typer.Option("--embed", help="Make a vector of each prompt instead of an answer; needs --model.")
    ] = False,
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="Numbers of a vector, where the model can choose.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until done, and show the result.")] = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Submit a job, or a file of them.

    Examples: `synthralos jobs submit "Name three rivers" --wait`;
    `synthralos jobs submit -f prompts.jsonl --model sandbox/small --run-id nightly --wait`;
    `synthralos --json jobs submit "Three rivers" --embed --model sandbox/embedding --wait`
    """
    limits: dict[str, Any] = {
        "classification": classification,
        "region": region,
        "pin": pin,
        "max_cost_usd": max_cost,
        "on_limit": on_limit,
        "max_wait_seconds": max_wait,
        "private_data": private_data,
        "restore_private_data": restore_private_data or None,
        "reuse": "allow" if reuse else None,
        "coalesce": coalesce,
        "repair": repair,
        "zero_retention": zero_retention or None,
        "service_tier": service_tier,
    }
    fields = {
        "model": model,
        "max_output_tokens": max_output_tokens,
        "temperature": temperature,
        "lane": lane,
        "deadline_seconds": deadline,
        "run_id": run_id,
        "stream": stream or None,
        "dimensions": dimensions,
        "metadata": _metadata(metadata or []) or None,
        "constraints": given(limits) or None,
    }
    requests = read_requests(prompt, file, given(fields))
    if embed:
        requests = as_embeddings(requests)
    out = output(context, as_json)
    with client_of(context) as client:
        jobs = _submitted(client, requests, file is not None, idempotency_key)
        if stream and len(jobs) == 1 and file is None:
            tail(client, out, jobs[0].id, as_json=bool(as_json))
        elif wait:
            _wait(client, out, [job.id for job in jobs], timeout)
        elif file is None:
            out.show(jobs[0].raw, lambda: views.receipt(jobs[0]))
        else:
            out.show({"jobs": [job.raw for job in jobs]}, lambda: views.receipts(jobs))


def _submitted(client: Client, requests: list[Request], many: bool, key: str | None) -> list[Job]:
    if many:
        return client.submit_many(requests, idempotency_key=key)
    return [_submit(client, request, key) for request in requests]


def _submit(client: Client, request: Request, key: str | None) -> Job:
    if request.get("kind") != "embedding":
        return client.submit(idempotency_key=key, **request)
    options = {"model": "auto", **{name: value for name, value in request.items() if name not in ("kind", "input")}}
    return client.submit_embedding(request["input"], idempotency_key=key, **options)


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
        _wait(client, output(context, as_json), ids, timeout)


def _wait(client: Client, out: Output, job_ids: list[str], timeout: float | None) -> None:
    done = wait_through(client, out, job_ids, timeout)
    if len(done) == 1:
        out.show(done[0].raw, lambda: views.details(done[0]))
    else:
        out.show({"jobs": [job.raw for job in done]}, lambda: views.table(done))
    if not all(job.succeeded for job in done):
        raise typer.Exit(Exit.FAILED)


@contextmanager
def client_of(context: typer.Context) -> Iterator[Client]:
    """The client for the server that the command line names; closed at the end."""
    url = context.parent.params.get("url") if context.parent else None
    with Client(url, max_retries=RETRIES) as client:
        yield client


def _metadata(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if any(not equals for _, equals, _ in split):
        raise typer.BadParameter("--meta takes NAME=VALUE")
    return {name: value for name, _, value in split}
