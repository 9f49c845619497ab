"""Showing an answer while it is written."""

import sys

import typer

from cli import job_views as views
from cli.exits import Exit
from cli.output import Output
from synthralos_client import Client, Delta, Job


def tail(client: Client, out: Output, job_id: str, *, as_json: bool) -> None:
    """Write the answer to standard output as it comes; exits with 1 unless the job succeeded.

    As JSON: the finished job alone. Ctrl-C leaves the job alone, which goes on.
    """
    try:
        job = _finished(client, out, job_id, as_json=as_json)
    except KeyboardInterrupt:
        out.warn(f"\njob {job_id} goes on")
        raise typer.Exit(Exit.INTERRUPTED) from None
    if as_json or not job.succeeded:
        out.show(job.raw, lambda: views.details(job))
    if not job.succeeded:
        raise typer.Exit(Exit.FAILED)


def _finished(client: Client, out: Output, job_id: str, *, as_json: bool) -> Job:
    told = ""
    for delta in client.stream(job_id):
        if delta.job is not None:
            if not as_json:
                _write(_missing(delta.job, told) + "\n" if delta.job.succeeded or told else "")
            return delta.job
        told = "" if delta.restarted else told + delta.text
        if not as_json:
            _show(out, delta)
    raise AssertionError("a stream ends with its job")


def _missing(job: Job, told: str) -> str:
    """What was not told, of a job that is not streamed for instance."""
    text = job.text or ""
    return text[len(told) :] if text.startswith(told) else ""


def _show(out: Output, delta: Delta) -> None:
    if delta.restarted:
        _write("\n")
        out.warn("synthralos: the answer broke off and begins anew")
    _write(delta.text)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
