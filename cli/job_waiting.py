"""Waiting for jobs from the command line: through a restart of the server, and with a word when it is interrupted."""

import time
from collections.abc import Callable

import typer

from cli import job_views as views
from cli.exits import Exit
from cli.output import Output, command_name
from synthralos_client import ApiError, Client, ConnectError, Job, WaitTimeout

_AWAY = frozenset({502, 503, 504})
"""The answers of, or in front of, a server that is not up yet."""


def wait_through(client: Client, out: Output, job_ids: list[str], timeout: float | None) -> list[Job]:
    """The jobs once all are done, whatever the server does meanwhile; raises `WaitTimeout` after `timeout` seconds.

    Ctrl-C ends the command with 130, after it has said which jobs go on.
    """
    done: dict[str, Job] = {}
    try:
        with out.progress("waiting", len(job_ids)) as advance:
            _wait(client, out, job_ids, timeout, done, lambda: advance(len(done), len(job_ids)))
    except KeyboardInterrupt:
        _go_on(out, [job_id for job_id in job_ids if job_id not in done])
        raise typer.Exit(Exit.INTERRUPTED) from None
    return [done[job_id] for job_id in job_ids]


def _wait(
    client: Client,
    out: Output,
    job_ids: list[str],
    timeout: float | None,
    done: dict[str, Job],
    advance: Callable[[], None],
) -> None:
    def note(job: Job, *_: int) -> None:
        done[job.id] = job
        advance()

    begun, told = time.monotonic(), False
    while open_ids := [job_id for job_id in job_ids if job_id not in done]:
        left = None if timeout is None else max(0.0, timeout - (time.monotonic() - begun))
        try:
            client.wait_many(open_ids, left, note)
        except (ConnectError, ApiError) as error:
            if isinstance(error, ApiError) and error.status not in _AWAY:
                raise
            if timeout is not None and left == 0:
                raise WaitTimeout(dict.fromkeys(open_ids), timeout) from error
            if not told:  # each round is spaced by the client's own retries
                out.warn("synthralos: the server does not answer; waiting for it to come back")
            told = True


def _go_on(out: Output, job_ids: list[str]) -> None:
    for job_id in job_ids:
        out.warn(job_id)
    what = "this job goes" if len(job_ids) == 1 else f"these {len(job_ids)} jobs go"
    out.warn(f"{what} on; `{command_name()} jobs wait ID…` waits again, `{command_name()} jobs cancel ID…` ends it")


def wait_and_show(client: Client, out: Output, job_ids: list[str], timeout: float | None) -> None:
    """Wait for jobs, and show them; exits with 1 unless all of them succeeded."""
    done = wait_through(client, out, job_ids, timeout)
    if len(done) == 1:
        out.show(done[0].raw, lambda: views.details(done[0]))
    else:
        out.show({"jobs": [job.raw for job in done]}, lambda: views.table(done))
    if not all(job.succeeded for job in done):
        raise typer.Exit(Exit.FAILED)
