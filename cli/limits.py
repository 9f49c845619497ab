"""`synthralos limits`: what account plans allow, in the database itself."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configuring import Reason, by, changed, configuration, kept
from cli.keys import PlanName
from cli.options import DatabaseUrl, Json, output, settings
from cli.output import local
from cli.tables import Column, Listing

if TYPE_CHECKING:
    from cli.output import Output

app = typer.Typer(
    no_args_is_help=True,
    help="See and set the limits of account plans, in the database of DATABASE_URL. Every process goes by them within "
    "two seconds.",
)

Plan = Annotated[PlanName, typer.Argument(help="The account plan.")]
_COLUMNS = (
    Column("plan"),
    Column("prompt characters", right=True),
    Column("prompt tokens", right=True),
    Column("changed"),
    Column("changed by"),
)


@app.command("list")
def list_limits(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List what each plan allows."""
    _show(output(context, as_json), database_url)


@app.command("set")
def set_limits(
    context: typer.Context,
    plan: Plan,
    prompt_characters: Annotated[
        int | None, typer.Option(min=1, max=8_000_000, help="Characters of a prompt at most.", show_default="default")
    ] = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(min=1, max=2_000_000, help="Tokens of a prompt at most.", show_default="default")
    ] = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Set the limits of a plan; one that is not given is at its default.

    Example: `synthralos limits set free --prompt-tokens 16000 --reason "trial abuse"`
    """
    wanted = {"prompt_characters": prompt_characters, "prompt_tokens": prompt_tokens}
    limits = {name: value for name, value in wanted.items() if value is not None}
    if not limits:
        raise typer.BadParameter("give --prompt-characters or --prompt-tokens, or use `synthralos limits reset`")
    from synthralos.domain.account_plans import AccountPlan  # noqa: PLC0415

    with configuration(database_url) as stored:
        stored.set_limits(AccountPlan(plan), limits, by(reason))
    _show(output(context, as_json), database_url)


@app.command()
def reset(
    context: typer.Context, plan: Plan, reason: Reason = "", database_url: DatabaseUrl = None, as_json: Json = False
) -> None:
    """Set the limits of a plan back to their default."""
    from synthralos.domain.account_plans import AccountPlan  # noqa: PLC0415

    with configuration(database_url) as stored:
        stored.reset_limits(AccountPlan(plan), by(reason))
    _show(output(context, as_json), database_url)


def _show(out: "Output", database_url: str | None) -> None:
    with configuration(database_url) as stored:
        live, found = kept(settings(database_url=database_url), stored), stored.read()
        live.read()
    views: list[dict[str, Any]] = [
        {
            "plan": str(plan),
            **limits.to_json(),
            **changed(found.limits.get(plan)),
        }
        for plan, limits in live.current.limits.items()
    ]
    out.show({"limits": views}, lambda: Listing(_COLUMNS, [_row(view) for view in views]))


def _row(view: dict[str, Any]) -> list[str]:
    numbers = [f"{view[name]:,}" for name in ("prompt_characters", "prompt_tokens")]
    return [view["plan"], *numbers, local(view["changed_at"]), view["changed_by"] or ""]
