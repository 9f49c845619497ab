"""`synthralos limits`: what account plans, and single organizations, allow, in the database itself."""

import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from cli.configuring import Reason, by, changed, configuration, kept
from cli.keys import PlanName
from cli.options import DatabaseUrl, Json, output, settings
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from cli.output import Output
    from synthralos.domain.account_plans import AccountPlan

app = typer.Typer(
    no_args_is_help=True,
    help="See and set the limits of account plans, in the database of DATABASE_URL. Every process goes by them within "
    "two seconds.",
)

Plan = Annotated[PlanName | None, typer.Argument(help="The account plan.")]
Organization = Annotated[
    str | None, typer.Option(help="In place of a plan: limits of this organization's own.", show_default=False)
]
Rates = Annotated[
    list[str] | None,
    typer.Option(
        "--rate",
        metavar="PER:UNIT:LIMIT/WINDOW",
        help="organization, workspace or user; requests or tokens; a second, minute, hour or day. May be repeated; "
        "all rates of before are replaced, and `none` limits none.",
        show_default=False,
    ),
]
PromptCharacters = Annotated[
    int | None, typer.Option(min=1, max=8_000_000, help="Characters of a prompt at most.", show_default="default")
]
PromptTokens = Annotated[
    int | None, typer.Option(min=1, max=2_000_000, help="Tokens of a prompt at most.", show_default="default")
]
MaxWait = Annotated[
    float | None,
    typer.Option(min=0, max=2_678_400, help="Seconds that a job waits for rates at most.", show_default="default"),
]
Weight = Annotated[
    int | None,
    typer.Option(
        min=1, max=1_000, help="Share, in tokens, beside others whose bulk jobs wait.", show_default="default"
    ),
]
WorkspaceWeights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WORKSPACE=WEIGHT",
        help="Share of a workspace in its organization's turn (1 to 1,000; 1 where not given). May be repeated; all of "
        "before are replaced, and `none` sets none.",
        show_default=False,
    ),
]
_COLUMNS = (
    Column("plan"),
    Column("prompt characters", right=True),
    Column("prompt tokens", right=True),
    Column("rates"),
    Column("waits at most", right=True),
    Column("weight", right=True),
    Column("workspaces"),
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
    plan: Plan = None,
    prompt_characters: PromptCharacters = None,
    prompt_tokens: PromptTokens = None,
    rate: Rates = None,
    max_wait: MaxWait = None,
    weight: Weight = None,
    workspace_weight: WorkspaceWeights = None,
    organization: Organization = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Set the limits of a plan, or of one organization; one that is not given is at its default, or its plan's.

    Examples: `synthralos limits set free --prompt-tokens 16000 --reason "trial abuse"`;
    `synthralos limits set free --rate user:requests:60/minute --rate organization:tokens:2000000/day`;
    `synthralos limits set --organization acme --rate organization:requests:100/second`;
    `synthralos limits set --organization acme --weight 8 --workspace-weight live=4 --workspace-weight trials=1`
    """
    limits = {
        "prompt_characters": prompt_characters,
        "prompt_tokens": prompt_tokens,
        "max_wait_seconds": max_wait,
        "rates": None if rate is None else parse_rates(rate),
        "weight": weight,
        "workspace_weights": None if workspace_weight is None else parse_weights(workspace_weight),
    }
    limits = {name: value for name, value in limits.items() if value is not None}
    if not limits:
        raise typer.BadParameter("give one of the limits, or use `synthralos limits reset`")
    of = _subject(plan, organization)
    with configuration(database_url) as stored:
        if of.organization is not None:
            stored.set_own_limits(of.organization, limits, by(reason))
        else:
            stored.set_limits(of.account_plan, limits, by(reason))
    _show(output(context, as_json), database_url)


@app.command()
def reset(
    context: typer.Context,
    plan: Plan = None,
    organization: Organization = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Set the limits of a plan back to their default, or those of one organization to its plan's."""
    of = _subject(plan, organization)
    with configuration(database_url) as stored:
        if of.organization is not None:
            stored.reset_own_limits(of.organization, by(reason))
        else:
            stored.reset_limits(of.account_plan, by(reason))
    _show(output(context, as_json), database_url)


def _show(out: "Output", database_url: str | None) -> None:
    with configuration(database_url) as stored:
        live, found = kept(settings(database_url=database_url), stored), stored.read()
        live.read()
    views: list[dict[str, Any]] = [
        {"plan": str(plan), **limits.to_json(), **changed(found.limits.get(plan))}
        for plan, limits in live.current.limits.items()
    ]
    own = [{"organization": name, **each.value, **changed(each)} for name, each in sorted(found.own_limits.items())]
    out.show({"limits": views, "organizations": own}, lambda: Listing(_COLUMNS, [_row(view) for view in views + own]))


def _row(view: dict[str, Any]) -> list[str]:
    """A plan's, or an organization's, whose limits are its plan's where nothing stands."""
    numbers = [_number(view.get(name)) for name in ("prompt_characters", "prompt_tokens")]
    rates = ", ".join(f"{r['per']}:{r['unit']}:{r['limit']}/{r['window']}" for r in view.get("rates") or ())
    whose = view.get("plan") or f"organization {one_line(view['organization'])}"
    wait = _number(view.get("max_wait_seconds"), " s")
    weight = _number(view.get("weight"))
    inner = ", ".join(f"{one_line(name)}={n}" for name, n in (view.get("workspace_weights") or {}).items())
    return [whose, *numbers, rates, wait, weight, inner, local(view["changed_at"]), view["changed_by"] or ""]


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:,.0f}{unit}"


class _Subject(NamedTuple):
    """Whose limits they are: a plan's, or an organization's."""

    account_plan: "AccountPlan"
    organization: str | None


def _subject(plan: str | None, organization: str | None) -> _Subject:
    from synthralos.domain.account_plans import AccountPlan  # noqa: PLC0415

    if (plan is None) is (organization is None):
        raise typer.BadParameter("name a plan, or an organization with --organization")
    if organization is not None and not organization.strip():
        raise typer.BadParameter("--organization is blank")
    return _Subject(AccountPlan(plan or AccountPlan.FREE), organization)


def parse_weights(texts: list[str]) -> dict[str, int]:
    """Weights of workspaces by name, of words such as `live=4`; `none` alone is no weight."""
    from synthralos.domain.limits import MOST_WEIGHT  # noqa: PLC0415

    found = {}
    for text in [] if texts == ["none"] else texts:
        name, _, weight = text.rpartition("=")
        if not name.strip() or not weight.isdecimal() or not 1 <= int(weight) <= MOST_WEIGHT:
            raise typer.BadParameter(f"{text!r} is no weight: write one such as live=4 (1 to {MOST_WEIGHT:,})")
        found[name.strip()] = int(weight)
    return found


def parse_rates(texts: list[str]) -> list[dict[str, Any]]:
    """The stored form of rates such as `user:requests:60/minute`; `none` alone is no rate."""
    from synthralos.domain.limits import MOST_OF_A_RATE, Per, Rate, Unit, Window, rates_of  # noqa: PLC0415

    if texts == ["none"]:
        return []
    form = re.compile(rf"({'|'.join(Per)}):({'|'.join(Unit)}):([0-9]+(?:_[0-9]+)*)/({'|'.join(Window)})")
    found = []
    for text in texts:
        match = form.fullmatch(text.strip())
        if match is None or not 1 <= int(match[3]) <= MOST_OF_A_RATE:
            raise typer.BadParameter(f"{text!r} is no rate: write one such as user:requests:60/minute")
        found.append(Rate(Per(match[1]), Unit(match[2]), Window(match[4]), int(match[3])).to_json())
    try:
        rates_of(found)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return found
