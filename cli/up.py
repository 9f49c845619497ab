"""`synthralos up`: everything in one process."""

from contextlib import suppress

import typer
from rich.text import Text

from cli.options import DatabaseUrl, Host, Json, Port, output, settings
from cli.output import Output, command_name
from cli.signals import stop_requested


def up(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Run API, worker and scheduler in this process, on SQLite and an in-process broker unless settings say otherwise.

    The first start prints an admin key. Ctrl-C, SIGTERM or a closed terminal stops it, after what is under way.

    Examples: `synthralos up`; `synthralos up --port 9000 --database-url sqlite:////var/lib/synthralos/jobs.db`
    """
    chosen = settings(host=host, port=port, database_url=database_url)
    from embedded.system import embedded, first_admin_key  # noqa: PLC0415 - imports every part of the system
    from pipelines.providers.table import check_deployment  # noqa: PLC0415
    from synthralos.core import build_core  # noqa: PLC0415
    from synthralos.logs import log_as  # noqa: PLC0415
    from synthralos.open_files import allow_many_open_files  # noqa: PLC0415

    out = output(context, as_json)
    log_as("up", chosen)
    allow_many_open_files()
    core = build_core(chosen, check_deployment)
    with stop_requested() as stop, embedded(core) as url:
        key = first_admin_key(core)
        secret = None if key is None else key.secret
        out.show({"url": url, "admin_key": secret}, lambda: _welcome(url, secret))
        stop.wait()
        with suppress(OSError):  # the terminal may be what has gone
            _goodbye(out, chosen.drain_timeout)


def _welcome(url: str, secret: str | None) -> Text:
    command = command_name()
    lines = [("SynthralOS is up at ", ""), (url, "bold"), ("\n", "")]
    if secret is None:
        lines += [(f"Keys were made before; another one: {command} keys create --role admin\n", "dim")]
    else:
        lines += [
            ("\nAdmin key, shown this once: ", ""),
            (secret, "bold green"),
            (f"\n(lost it? {command} keys create --role admin makes another)\n\n", "dim"),
            (f"export SYNTHRALOS_URL={url} SYNTHRALOS_API_KEY={secret}\n", ""),
        ]
    lines += [(f'{command} jobs submit "Name three rivers of Europe." --wait\n', ""), ("Ctrl-C stops it.", "dim")]
    return Text.assemble(*lines)


def _goodbye(out: Output, drain_timeout: float) -> None:
    out.warn(f"Stopping: what is under way gets up to {drain_timeout:g} s. Ctrl-C again ends it at once.")
