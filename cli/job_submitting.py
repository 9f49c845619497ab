"""`synthralos jobs submit`: its options are those of a request (`cli.job_options`)."""

from pathlib import Path
from typing import Annotated

import typer

from cli import job_views as views
from cli.clients import client_of
from cli.job_files import Request, as_embeddings, read_requests
from cli.job_options import RequestOptions, TreatmentOptions, WayOptions
from cli.job_streaming import tail
from cli.job_waiting import wait_and_show
from cli.option_groups import grouped
from cli.options import Json, Timeout, output
from synthralos_client import Client, Job


@grouped
def submit(
    context: typer.Context,
    request: RequestOptions,
    way: WayOptions,
    treatment: TreatmentOptions,
    prompt: Annotated[str | None, typer.Argument(help="The prompt; - reads it from standard input.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", help="A .txt file: a prompt a line; else prompts or job requests as JSON; - is stdin."
        ),
    ] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key never submits twice.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until done, and show the result.")] = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Submit a job, or a file of them.

    Examples: `synthralos jobs submit "Name three rivers" --wait`;
    `synthralos jobs submit -f prompts.jsonl --model sandbox/small --run-id nightly --wait`;
    `synthralos --json jobs submit "Three rivers" --embed --model sandbox/embedding --wait`
    """
    constraints = way.constraints() | treatment.constraints()
    common = request.fields() | ({"constraints": constraints} if constraints else {})
    requests = read_requests(prompt, file, common)
    if request.embed:
        requests = as_embeddings(requests)
    out = output(context, as_json)
    with client_of(context) as client:
        jobs = _submitted(client, requests, file is not None, idempotency_key)
        if request.stream and len(jobs) == 1 and file is None:
            tail(client, out, jobs[0].id, as_json=bool(as_json))
        elif wait:
            wait_and_show(client, out, [job.id for job in jobs], timeout)
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
