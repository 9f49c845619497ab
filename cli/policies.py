"""`synthralos policies`: policy sets, in the database itself."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cli.configuring import Reason, by
from cli.documents import read_document
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, opened, output
from cli.output import local
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from synthralos.domain.policies import PolicySet
    from synthralos.store.admin.policies import Policies, PolicyVersion

app = typer.Typer(
    no_args_is_help=True,
    help="See, write, check and roll back policy sets, in the database of DATABASE_URL. They decide in every process "
    "within two seconds. docs/policies.md explains what rules can say.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The policy set's id.")]
File = Annotated[str, typer.Argument(help="TOML or JSON: name, rules, priority …; - is stdin.")]
_COLUMNS = (
    Column("id"),
    Column("name"),
    Column("version", right=True),
    Column("for"),
    Column("rules", right=True),
    Column("state"),
)


@app.command("list")
def list_policies(context: typer.Context, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List all policy sets."""
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    with _policies(database_url) as policies:
        found = list(policies.all(EVERYTHING))
    shown = {"policies": [policy.to_json() for policy in found]}
    output(context, as_json).show(shown, lambda: Listing(_COLUMNS, [_row(policy) for policy in found]))


@app.command()
def show(context: typer.Context, set_id: Id, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Print a policy set as JSON: what `synthralos policies set` takes is part of it."""
    with _policies(database_url) as policies:
        found = _found(policies, set_id).to_json()
    output(context, as_json).show(found, lambda: Text(json.dumps(found, indent=2, ensure_ascii=False)))


@app.command()
def check(context: typer.Context, file: File, as_json: Json = False) -> None:
    """Check a policy set without storing it: every mistake is told with its place.

    Example: `synthralos policies check eu.toml`
    """
    rules = _checked(read_document(file))
    output(context, as_json).show({"rules": len(rules)}, lambda: Text(f"{len(rules)} rules, nothing is wrong"))


@app.command("set")
def set_policy(
    context: typer.Context,
    file: File,
    replace: Annotated[
        str | None, typer.Option("--id", help="Replace this set by a new version; else a new set.", show_default=False)
    ] = None,
    organization: Annotated[
        str | None, typer.Option(help="Of a new set: for this one alone.", show_default=False)
    ] = None,
    workspace: Annotated[str | None, typer.Option(help="Of a new set: for this one alone.", show_default=False)] = None,
    version: Annotated[
        int | None, typer.Option("--if-version", help="Only where the set is at this version.", show_default=False)
    ] = None,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a policy set, or a new version of one.

    Examples: `synthralos policies set eu.toml --organization acme`;
    `synthralos policies set eu.toml --id 0199… --if-version 3 --reason "two more models"`
    """
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    if workspace is not None and organization is None:
        raise typer.BadParameter("name the --organization of the workspace, too")
    document = read_document(file)
    _checked(document)
    with _policies(database_url) as policies:
        if replace is None:
            made = policies.create(document, organization, workspace, by(reason))
        else:
            _found(policies, replace)
            made = _settled(policies.replace(replace, document, EVERYTHING, by(reason), version))
    output(context, as_json).show(made.to_json(), lambda: Text(f"{made.id} is at version {made.version}"))


@app.command()
def remove(
    context: typer.Context, set_id: Id, reason: Reason = "", database_url: DatabaseUrl = None, as_json: Json = False
) -> None:
    """Remove a policy set; its versions are kept."""
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    with _policies(database_url) as policies:
        _found(policies, set_id)
        removed = _settled(policies.remove(set_id, EVERYTHING, by(reason)))
    output(context, as_json).show(removed.to_json(), lambda: Text(f"{removed.id} is removed"))


@app.command()
def versions(context: typer.Context, set_id: Id, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the versions of a policy set, newest first; also of one that was removed."""
    columns = (Column("version", right=True), Column("name"), Column("changed"), Column("changed by"), Column("reason"))
    with _policies(database_url) as policies:
        found = _versions(policies, set_id)
    shown = [
        {
            "version": each.number,
            "policy": None if each.policy is None else each.policy.to_json(),
            "changed_at": each.changed_at,
            "changed_by": each.changed_by,
            "reason": each.reason,
        }
        for each in found
    ]
    rows = [
        [
            str(each.number),
            "(removed)" if each.policy is None else one_line(each.policy.name),
            local(each.changed_at),
            each.changed_by,
            one_line(each.reason),
        ]
        for each in found
    ]
    output(context, as_json).show({"versions": shown}, lambda: Listing(columns, rows))


@app.command()
def rollback(
    context: typer.Context,
    set_id: Id,
    version: Annotated[int, typer.Argument(min=1, help="Which version to have again, as a new one.")],
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have an earlier version of a policy set again, as a new one."""
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    with _policies(database_url) as policies:
        earlier = {each.number: each.policy for each in _versions(policies, set_id)}.get(version)
        if earlier is None:
            raise typer.BadParameter(f"there is no version {version}: see `synthralos policies versions {set_id}`")
        who = by(reason or f"back to version {version}")
        made = _settled(policies.replace(set_id, earlier.to_json(), EVERYTHING, who))
    output(context, as_json).show(made.to_json(), lambda: Text(f"{made.id} is at version {made.version}"))


@contextmanager
def _policies(database_url: str | None) -> Iterator["Policies"]:
    from synthralos.store.admin.policies import Policies  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        yield Policies(database)


def _found(policies: "Policies", set_id: str) -> "PolicySet":
    from synthralos.domain.ids import is_id  # noqa: PLC0415
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    found = policies.get(set_id, EVERYTHING) if is_id(set_id) else None
    if found is None:
        raise _missing(set_id)
    return found


def _versions(policies: "Policies", set_id: str) -> "list[PolicyVersion]":
    from synthralos.domain.ids import is_id  # noqa: PLC0415
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    found = list(policies.versions(set_id, EVERYTHING)) if is_id(set_id) else []
    if not found:
        raise _missing(set_id)
    return found


def _missing(set_id: str) -> typer.Exit:
    typer.echo(f"synthralos: there is no policy set {set_id}: `synthralos policies list` shows all", err=True)
    return typer.Exit(Exit.REFUSED)


def _settled(outcome: Any) -> "PolicySet":
    from synthralos.domain.policies import PolicySet  # noqa: PLC0415

    if isinstance(outcome, PolicySet):
        return outcome
    told = "it is gone" if outcome is None else f"it is at version {outcome.version} now"
    typer.echo(f"synthralos: somebody has changed the set meanwhile: {told}", err=True)
    raise typer.Exit(Exit.REFUSED)


def _checked(document: Any) -> tuple[Any, ...]:
    from pipelines.policies.problems import InvalidPolicy  # noqa: PLC0415
    from pipelines.policies.rules import read_document as read_policy  # noqa: PLC0415

    try:
        return read_policy(document)
    except InvalidPolicy as error:
        for problem in error.problems:
            typer.echo(f"synthralos: {problem.path} {problem.problem}: {problem.remedy}", err=True)
        raise typer.Exit(Exit.REFUSED) from None


def _row(policy: "PolicySet") -> list[str]:
    scope = " / ".join(one_line(each) for each in (policy.organization, policy.workspace) if each) or "everybody"
    state = "off" if not policy.enabled else "shadow" if policy.shadow else "decides"
    share = "" if policy.share >= 100 else f", {policy.share:g} %"
    return [policy.id, one_line(policy.name), str(policy.version), scope, str(len(policy.rules)), state + share]
