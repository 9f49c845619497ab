"""Moving many jobs from the command line: the ids, what became of each, and how the command ends."""

import sys
from collections.abc import Callable, Iterator, Sequence

import typer
from rich.text import Text

from cli.exits import Exit
from cli.job_views import state
from cli.output import Output
from synthralos_client import ApiError, AuthenticationError, BulkResult, Job, PermissionDenied, ServerError
from synthralos_client.errors import SynthralosError


def ids_of(words: list[str]) -> list[str]:
    """The ids, each once; `-` stands for those on standard input, the first word of each line."""
    found: dict[str, None] = {}
    for word in words:
        found |= dict.fromkeys(_piped() if word == "-" else [word])
    if not found:
        raise typer.BadParameter("standard input holds no ids")
    return list(found)


def in_bulk(out: Output, act: Callable[[], list[BulkResult]]) -> None:
    """Do it to all in few requests, and report each; a refusal ends the command with 5."""
    try:
        results = act()
    except SynthralosError as error:
        if error.reported:
            _report(out, *_split(error.reported))
        raise
    _end(out, *_split(results))


def one_by_one(out: Output, job_ids: list[str], act: Callable[[str], Job]) -> None:
    """Do it to each job; one that is refused holds up none of the others, and ends the command with 5."""
    jobs: list[Job] = []
    refused: dict[str, str] = {}
    try:
        for job_id in job_ids:
            try:
                jobs.append(act(job_id))
            except (AuthenticationError, PermissionDenied, ServerError):
                raise  # true of all the others too
            except ApiError as error:
                refused[job_id] = str(error)
    except (SynthralosError, KeyboardInterrupt):
        if jobs or refused:
            _report(out, jobs, refused)
        raise
    _end(out, jobs, refused)


def _piped() -> Iterator[str]:
    return (line.split()[0] for line in sys.stdin if line.strip())


def _split(results: Sequence[BulkResult]) -> tuple[list[Job], dict[str, str]]:
    jobs = [
        Job(result.id, result.state or "", "", raw={"id": result.id, "state": result.state})
        for result in results
        if result.done
    ]
    refused = {result.id: result.detail or result.outcome for result in results if not result.done}
    return jobs, refused


def _end(out: Output, jobs: list[Job], refused: dict[str, str]) -> None:
    _report(out, jobs, refused)
    if refused:
        raise typer.Exit(Exit.REFUSED)


def _report(out: Output, jobs: list[Job], refused: dict[str, str]) -> None:
    """One line for each id, and a summary where there are several."""
    data = {"jobs": [job.raw for job in jobs], "refused": [{"id": i, "reason": why} for i, why in refused.items()]}
    if jobs or out.as_json:
        out.show(data, lambda: Text("\n").join(Text.assemble(job.id, "  ", state(job)) for job in jobs))
    for job_id, why in refused.items():
        out.warn(f"synthralos: {job_id}: {why}")
    if len(jobs) + len(refused) > 1:
        out.warn(f"{len(jobs)} done, {len(refused)} refused")
