"""`synthralos jobs submit`: its options are those of a request."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli import job_views as views
from cli.clients import client_of
from cli.job_files import Request, as_embeddings, given, read_requests
from cli.job_streaming import tail
from cli.job_waiting import wait_and_show
from cli.options import Json, Timeout, output
from synthralos.domain.states import Lane
from synthralos_client import Client, Job


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


def _metadata(pairs: list[str]) -> dict[str, str]:
    split = [pair.partition("=") for pair in pairs]
    if any(not equals for _, equals, _ in split):
        raise typer.BadParameter("--meta takes NAME=VALUE")
    return {name: value for name, _, value in split}
