"""`synthralos policies`: policy sets, in the database itself."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.configuring import Reason, by
from cli.documents import read_document
from cli.options import DatabaseUrl, Json, output
from cli.output import counted, local
from cli.policy_sets import checked, draft_of, found_set, found_versions, in_place, settled, stored_policies, tell
from cli.policy_trials import coverage, diff, lint, simulate
from cli.tables import Column, Listing
from cli.texts import one_line

if TYPE_CHECKING:
    from synthralos.domain.policies import PolicySet

app = typer.Typer(
    no_args_is_help=True,
    help="See, write, check and roll back policy sets, in the database of DATABASE_URL. They decide in every process "
    "within two seconds. docs/policies.md explains what rules can say.",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The policy set's id.")]
File = Annotated[str, typer.Argument(help="TOML or JSON: name, rules, priority …; - is stdin.")]
Force = Annotated[bool, typer.Option("--force", help="In spite of severe warnings; that goes on record.")]
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

    with stored_policies(database_url) as policies:
        found = list(policies.all(EVERYTHING))
    shown = {"policies": [policy.to_json() for policy in found]}
    output(context, as_json).show(shown, lambda: Listing(_COLUMNS, [_row(policy) for policy in found]))


@app.command()
def show(context: typer.Context, set_id: Id, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Print a policy set as JSON: what `synthralos policies set` takes is part of it."""
    with stored_policies(database_url) as policies:
        found = found_set(policies, set_id).to_json()
    output(context, as_json).show(found, lambda: Text(json.dumps(found, indent=2, ensure_ascii=False)))


@app.command()
def check(context: typer.Context, file: File, as_json: Json = False) -> None:
    """Check a policy set without storing it, and without a database: every mistake is told with its place.

    Warnings tell of rules that can never match, that change nothing, or that deny everything. See `lint`, too.

    Example: `synthralos policies check eu.toml`
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from pipelines.policies.lint import lint as looked_at  # noqa: PLC0415

    document = read_document(file)
    rules = checked(document)
    warnings = looked_at(document, datetime.now(UTC))
    tell(warnings)
    shown = {"rules": len(rules), "warnings": [each.to_json() for each in warnings]}
    said = f"well formed: {counted(len(rules), 'rule')}, {counted(len(warnings), 'warning')}"
    output(context, as_json).show(shown, lambda: Text(said))


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
    force: Force = False,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Make a policy set, or a new version of one. Severe warnings have to be forced.

    Examples: `synthralos policies set eu.toml --organization acme`;
    `synthralos policies set eu.toml --id 0199… --if-version 3 --reason "two more models"`
    """
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415
    from synthralos.store.admin.policies import Policies  # noqa: PLC0415

    if workspace is not None and organization is None:
        raise typer.BadParameter("name the --organization of the workspace, too")
    document = read_document(file)
    checked(document)
    with in_place(database_url) as place:
        policies = Policies(place.database)
        if replace is None:
            forced = place.require_force(draft_of(document, organization, workspace), force)
            made = policies.create(document, organization, workspace, by(reason), forced)
        else:
            stored = found_set(policies, replace)
            draft = draft_of(document, stored.organization, stored.workspace)
            forced = place.require_force(dataclasses.replace(draft, id=stored.id), force)
            made = settled(policies.replace(replace, document, EVERYTHING, by(reason), version, forced))
    output(context, as_json).show(made.to_json(), lambda: Text(f"{made.id} is at version {made.version}"))


@app.command()
def remove(
    context: typer.Context, set_id: Id, reason: Reason = "", database_url: DatabaseUrl = None, as_json: Json = False
) -> None:
    """Remove a policy set; its versions are kept."""
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    with stored_policies(database_url) as policies:
        found_set(policies, set_id)
        removed = settled(policies.remove(set_id, EVERYTHING, by(reason)))
    output(context, as_json).show(removed.to_json(), lambda: Text(f"{removed.id} is removed"))


@app.command()
def versions(context: typer.Context, set_id: Id, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """List the versions of a policy set, newest first; also of one that was removed."""
    columns = (Column("version", right=True), Column("name"), Column("changed"), Column("changed by"), Column("reason"))
    with stored_policies(database_url) as policies:
        found = found_versions(policies, set_id)
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
    force: Force = False,
    reason: Reason = "",
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Have an earlier version of a policy set again, as a new one."""
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415
    from synthralos.store.admin.policies import Policies  # noqa: PLC0415

    with in_place(database_url) as place:
        policies = Policies(place.database)
        earlier = {each.number: each.policy for each in found_versions(policies, set_id)}.get(version)
        if earlier is None:
            raise typer.BadParameter(f"there is no version {version}: see `synthralos policies versions {set_id}`")
        who = by(reason or f"back to version {version}")
        stored = found_set(policies, set_id)
        forced = place.require_force(dataclasses.replace(earlier, version=stored.version), force)
        made = settled(policies.replace(set_id, earlier.to_json(), EVERYTHING, who, None, forced))
    output(context, as_json).show(made.to_json(), lambda: Text(f"{made.id} is at version {made.version}"))


def _row(policy: "PolicySet") -> list[str]:
    scope = " / ".join(one_line(each) for each in (policy.organization, policy.workspace) if each) or "everybody"
    state = "off" if not policy.enabled else "shadow" if policy.shadow else "decides"
    share = "" if policy.share >= 100 else f", {policy.share:g} %"
    return [policy.id, one_line(policy.name), str(policy.version), scope, str(len(policy.rules)), state + share]


for _command in (lint, simulate, diff, coverage):
    app.command()(_command)
