"""`synthralos retention`: how long what is kept, in the database itself."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configuring import Reason, by, changed, configuration, kept
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, opened, output, settings
from cli.output import local
from cli.tables import Column, Listing

if TYPE_CHECKING:
    from synthralos.domain.retention import Retention

app = typer.Typer(
    no_args_is_help=True,
    help="See and set how long what is kept, in the database of DATABASE_URL. Every process goes by it within two "
    "seconds; the scheduler that leads removes what is older.\n\nThe installation's times are the settings "
    "RETENTION_…_DAYS; organizations may have times of their own.",
)

Organization = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="The organization's name.")]
Days = Annotated[
    list[str],
    typer.Argument(
        metavar="KIND=DAYS…",
        help="payloads, jobs, dead_letters, accounts, similarity, events or happenings, and for how many days; 0 keeps "
        "payloads or jobs for an hour after a job's end.",
    ),
]
_COLUMNS = (Column("kind"), Column("days", right=True), Column("whose"), Column("what", cut=True))
_COUNTS = (Column("kind"), Column("rows", right=True))


@app.command()
def show(
    context: typer.Context,
    organization: Annotated[
        str | None, typer.Argument(metavar="[ORGANIZATION]", help="Of this one; else the installation's.")
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Show how long what is kept.

    Example: `synthralos retention show acme`
    """
    from synthralos.domain.retention import RULES  # noqa: PLC0415

    with configuration(database_url) as stored:
        times, found = _times(database_url, stored), stored.read().retention
    own = {} if organization is None else times.own.get(organization, {})
    days = times.days if organization is None else times.of(organization)
    shown = [{"kind": str(kind), "days": days[kind], "own": kind in own} for kind in RULES]
    when = {} if organization is None else changed(found.get(organization))
    rows = [
        [str(k), f"{days[k]:g}", "its own" if k in own else "installation", rule.meaning] for k, rule in RULES.items()
    ]
    out = output(context, as_json)
    out.show({"organization": organization, "kept": shown, **when}, lambda: Listing(_COLUMNS, rows))
    if not as_json and when.get("changed_at"):
        typer.echo(f"changed {local(when['changed_at'])} by {when['changed_by']}", err=True)


@app.command("set")
def set_days(
    context: typer.Context,
    organization: Organization,
    days: Days,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Give an organization times of its own; all of before are replaced, one that is not given is the installation's.

    Examples: `synthralos retention set acme payloads=7`; `synthralos retention set acme payloads=0 dead_letters=1`
    """
    from synthralos.domain.retention import errors, own_days  # noqa: PLC0415

    wanted = _parsed(days)
    with configuration(database_url) as stored:
        whole = {**_times(database_url, stored).days, **own_days(wanted)}
        for wrong in errors(whole):
            typer.echo(f"synthralos: {wrong.kind}: {wrong.problem}: {wrong.remedy}", err=True)
            raise typer.Exit(Exit.REFUSED)
        stored.set_retention(organization, wanted, by(reason))
    show(context, organization, database_url, as_json)


@app.command()
def reset(
    context: typer.Context,
    organization: Organization,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have the installation's times hold for an organization again."""
    with configuration(database_url) as stored:
        stored.reset_retention(organization, by(reason))
    show(context, organization, database_url, as_json)


@app.command()
def run(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing; tell what would be removed now.")] = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Remove at once what is beyond its time, as the scheduler does bit by bit; of jobs, whole jobs are counted.

    Example: `synthralos retention run --dry-run`
    """
    from synthralos.store.admin.configuration import Configuration  # noqa: PLC0415
    from synthralos.store.retention.keeping import KINDS, Keeping  # noqa: PLC0415

    with opened(database_url) as database:
        times, keeping = _times(database_url, Configuration(database)), Keeping(database)
        found = {kind: keeping.due(kind, times) for kind in KINDS} if dry_run else dict(keeping.run(times))
    counts = {str(kind): count for kind, count in found.items()}
    rows = [[kind, f"{count:,}"] for kind, count in counts.items()]
    output(context, as_json).show({"dry_run": dry_run, "removed": counts}, lambda: Listing(_COUNTS, rows))


def _times(database_url: str | None, stored: Any) -> "Retention":
    live = kept(settings(database_url=database_url), stored)
    live.read()
    return live.current.retention


def _parsed(texts: list[str]) -> dict[str, float]:
    from synthralos.domain.retention import RULES, Kind  # noqa: PLC0415

    names = [str(kind) for kind, rule in RULES.items() if rule.own]
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in names:
            only = " (the installation's alone)" if name in set(Kind) else ""
            raise typer.BadParameter(
                f"{name!r}{only}: organizations may have times of their own for {', '.join(names)}"
            )
        try:
            found[name] = float(value)
        except ValueError:
            raise typer.BadParameter(f"{text!r}: write a number of days, such as {name}=30") from None
    return found
