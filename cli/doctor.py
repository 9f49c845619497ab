"""`synthralos doctor`: whether everything that SynthralOS needs is there, and what to do where it is not."""

import typer
from rich.text import Text

from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings
from cli.tables import Column, Listing

_COLUMNS = (Column("check"), Column("is"), Column("found", cut=True), Column("what to do", cut=True))
_STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red"}


def doctor(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Look at settings, providers, database, schema, clock, processes, exports, broker, Redis and disk; say what to do.

    Exits with 0 unless there is a fault (1) or a setting is wrong (3). Warnings do not count. It changes nothing.

    Examples: `synthralos doctor`; `synthralos doctor --json | jq '.findings[] | select(.level != "ok")'`
    """
    chosen = settings(database_url=database_url)
    from cli.checkups import examine  # noqa: PLC0415 - imports every part of the system

    findings = list(examine(chosen))
    data = {"well": not any(finding.level == "fault" for finding in findings)}
    rows: list[list[str | Text]] = [[f.what, Text(f.level, _STYLES[f.level]), f.found, f.remedy] for f in findings]
    shown = {**data, "findings": [finding._asdict() for finding in findings]}
    output(context, as_json).show(shown, lambda: Listing(_COLUMNS, rows))
    if not data["well"]:
        raise typer.Exit(Exit.FAILED)
