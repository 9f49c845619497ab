"""`synthralos runs`: agent runs, over HTTP with the client that everybody uses."""

from typing import Annotated, Any

import typer
from rich.text import Text

from cli.clients import client_of
from cli.options import Json, Url, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line, printable
from synthralos_client.models import parse_time

app = typer.Typer(
    no_args_is_help=True,
    help="Agent runs: the jobs of one run_id, as steps. A step is known by its name (metadata.step) and its input.",
)

RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="The run_id of its jobs.")]

Organization = Annotated[
    str | None, typer.Option(help="Whose run it is; for keys that are bound to none.", show_default=False)
]


@app.callback()
def connection(
    url: Url = None,
) -> None:
    """Options for all of these commands."""


@app.command()
def show(context: typer.Context, run_id: RunId, as_json: Json = False) -> None:
    """Show a run: its steps, their states, and what it has cost."""
    with client_of(context) as client:
        run = client.healing.run(run_id)
    out = output(context, as_json)
    out.show(run, lambda: _steps(run["steps"]))
    spent = f"{run['cost']['usd']} USD" + ("" if run["cost"]["known"] else " and what is not known")
    for noted in run["thoughts"]:
        out.warn(f"{local(parse_time(noted['at']))} {noted['job_id']} thought: {one_line(noted['text'])}")
    if run["fork"] is not None:
        came = run["fork"]
        out.warn(f"fork of {printable(came['parent'])}: {len(came['kept'])} steps kept, {came['saved_usd']} USD saved")
    for caps in run["caps"]:
        out.warn(f"caps of {printable(caps['organization'])}: {_capped(caps)}")
    out.warn(f"{printable(run['id'])}: {run['state']}, {run['jobs']} jobs, {spent}")


@app.command()
def think(
    context: typer.Context,
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID", help="The job that it is about.")],
    text: Annotated[str, typer.Argument(help="What is thought; at most 8,000 characters.")],
    as_json: Json = False,
) -> None:
    """Note a thought about a job: `runs show` and the job's trace tell it.

    Example: `synthralos runs think 019… 'two sources disagree; asking the third'`
    """
    with client_of(context) as client:
        noted = client.healing.note_thought(job_id, text)
    output(context, as_json).show(noted, lambda: Text(f"noted at {local(parse_time(noted['at']))}"))


@app.command()
def recover(
    context: typer.Context,
    run_id: RunId,
    step: Annotated[
        list[str] | None, typer.Option(help="A step that the run should have; may be repeated.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Kept with each job's history.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Go on from the last good step: finished steps are kept, those that ended badly are sent through again.

    Example: `synthralos runs recover nightly-17 --step plan --step write --step check`
    """
    with client_of(context) as client:
        done = client.healing.recover_run(run_id, steps=step or None, reason=reason)
    out = output(context, as_json)
    out.show(done, lambda: _steps(done["run"]["steps"]))
    out.warn(", ".join(f"{len(done[name])} {name}" for name in ("kept", "retried", "open", "missing")))
    for name in done["missing"]:
        out.warn(f"missing: {printable(name)}")


@app.command()
def cap(
    context: typer.Context,
    run_id: RunId,
    max_calls: Annotated[int | None, typer.Option(help="Calls to providers.", show_default=False)] = None,
    max_cost: Annotated[str | None, typer.Option(metavar="USD", help="Such as 2.50.", show_default=False)] = None,
    deadline: Annotated[
        str | None, typer.Option(help="RFC 3339, such as 2030-01-31T12:00:00Z.", show_default=False)
    ] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Instead: from now.", show_default=False)] = None,
    max_repeats: Annotated[int, typer.Option(help="Equal answers in a row to one step and input.")] = 3,
    organization: Organization = None,
    reason: Annotated[str, typer.Option(help="Kept in the audit log.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Cap a run, in place of the caps that it had. Jobs over a cap fail and say so; `recover` sends them again.

    Example: `synthralos runs cap nightly-17 --max-calls 200 --max-cost 2.50 --max-seconds 3600`
    """
    given = {
        "max_calls": max_calls, "max_cost_usd": max_cost, "deadline": deadline, "max_seconds": max_seconds,
        "max_repeats": max_repeats, "organization": organization,
    }  # fmt: skip
    caps: Any = {name: value for name, value in given.items() if value is not None}
    with client_of(context) as client:
        done = client.healing.cap_run(run_id, reason=reason, **caps)
    output(context, as_json).show(done, lambda: Text(_capped(done)))


@app.command()
def uncap(
    context: typer.Context,
    run_id: RunId,
    organization: Organization = None,
    reason: Annotated[str, typer.Option(help="Kept in the audit log.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Remove the caps of a run: also for runs that are over, since 10,000 at most have caps."""
    with client_of(context) as client:
        done = client.healing.uncap_run(run_id, organization=organization, reason=reason)
    output(context, as_json).show(done, lambda: Text("removed: " + _capped(done)))


@app.command()
def fork(
    context: typer.Context,
    run_id: RunId,
    from_step: Annotated[str, typer.Argument(metavar="STEP", help="The step's name, or the id of its job.")],
    new_run_id: Annotated[
        str | None, typer.Option(help="Of the new run; else one is made.", show_default=False)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Instead of the step's.", show_default=False)] = None,
    prompt: Annotated[
        str | None, typer.Option(help="One user message instead of its input.", show_default=False)
    ] = None,
    reason: Annotated[str, typer.Option(help="Kept in the audit log.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Make a new run from a step: what was finished before it is kept and costs nothing, it is asked anew.

    Example: `synthralos runs fork nightly-17 write --model openai/gpt-5`
    """
    given = {"new_run_id": new_run_id, "model": model, "input": prompt}
    options: Any = {name: value for name, value in given.items() if value is not None}
    with client_of(context) as client:
        done = client.healing.fork_run(run_id, from_step, reason=reason, **options)
    out = output(context, as_json)
    kept = done["fork"]["kept"]
    said = f"{done['run_id']}: {len(kept)} steps kept, {done['fork']['saved_usd']} USD saved, job {done['job_id']}"
    out.show(done, lambda: Text(said))
    for name in done["missing"]:
        out.warn(f"missing: {printable(name)}")


def _capped(caps: dict[str, Any]) -> str:
    calls = f"{caps['calls']} calls" if caps["max_calls"] is None else f"{caps['calls']} of {caps['max_calls']} calls"
    parts = [calls]
    if caps["max_cost_usd"] is not None:
        parts.append(f"{caps['spent_usd']} of {caps['max_cost_usd']} USD")
    if caps["deadline"] is not None:
        parts.append(f"until {local(parse_time(caps['deadline']))}")
    parts.append(f"{caps['max_repeats']} repeats")
    if caps["refused_reason"] is not None:
        parts.append(one_line(caps["refused_reason"]))
    return ", ".join(parts)


def _steps(steps: list[dict[str, Any]]) -> Listing:
    columns = (
        Column("step"), Column("input"), Column("state"), Column("jobs", right=True), Column("job"),
        Column("finished"), Column("failure", cut=True),
    )  # fmt: skip
    rows = []
    for step in steps:
        counts = next(job for job in step["jobs"] if job["id"] == step["job_id"])
        finished = parse_time(counts["finished_at"])
        failure = "" if counts["failure"] is None else one_line(counts["failure"]["message"])
        rows.append(
            [
                printable(step["name"] or ""), step["input"], step["state"], str(len(step["jobs"])), step["job_id"],
                "" if finished is None else local(finished), failure,
            ]
        )  # fmt: skip
    return Listing(columns, rows)
