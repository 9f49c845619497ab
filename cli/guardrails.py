"""`synthralos guardrails`: the sidecar in which the real guardrails-ai package validates prompts and answers."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.options import settings
from guardrails_sidecar import environment
from guardrails_sidecar.configuration import ConfigurationProblem, read

Config = Annotated[
    Path | None, typer.Option(help="TOML file of validators; else GUARDRAILS_CONFIG.", show_default=False)
]
SidecarHost = Annotated[str, typer.Option(help="Address to listen on. Who reaches it may ask: it takes no key.")]
SidecarPort = Annotated[int, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65535)]
Prepare = Annotated[bool, typer.Option("--prepare", help="Make the environment, start nothing, and exit.")]


def guardrails(
    config: Config = None, host: SidecarHost = "127.0.0.1", port: SidecarPort = 8484, prepare: Prepare = False
) -> None:
    """Run guardrails-ai beside the workers, which show it prompts and answers where GUARDRAILS_URL says so.

    It does not fit into our own environment, so it gets one: made on the first start from pinned, hashed packages, in
    GUARDRAILS_HOME or ~/.cache/synthralos (pip and the network, or a mirror, are needed for that once; 500 MB). Its
    telemetry is off.

    The file lists validators for prompts and answers, in order:

        [[input]]
        validator = "length"
        most = 20000

        [[output]]
        validator = "competitors"
        names = ["Initech"]
        on_fail = "reask"

    Built in: length, matches, matches_not, banned_words, competitors, json, json_schema; else "module:Class" of
    what you install there. on_fail of [[input]]: exception (deny), noop (flag); of [[output]]: exception or reask
    (ask again), fix, noop (flag).

    Example: `GUARDRAILS_CONFIG=guards.toml synthralos guardrails`, then `GUARDRAILS_URL=http://127.0.0.1:8484
    synthralos worker`
    """
    chosen = settings(guardrails_config=config)
    folder = environment.place(chosen.guardrails_home)
    if prepare:
        typer.echo(str(environment.make(folder, _say)))
        return
    if chosen.guardrails_config is None:
        raise ConfigurationProblem("GUARDRAILS_CONFIG is not set: name a file, as `synthralos guardrails --help` shows")
    read(chosen.guardrails_config)
    python = environment.make(folder, _say)
    command = environment.start_command(python, chosen.guardrails_config, host, port)
    # The same process from here on, so signals and its end need nobody in between.
    os.execve(command[0], command, environment.start_environment(folder))  # noqa: S606


def _say(line: str) -> None:
    typer.echo(f"synthralos: {line}", err=True)
