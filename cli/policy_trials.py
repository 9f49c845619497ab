"""`synthralos policies lint`, `simulate`, `diff`, `coverage`: sets tried and looked at, in the database itself."""

import dataclasses
import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cli.documents import read_document
from cli.exits import Exit
from cli.options import DatabaseUrl, Json, output, settings
from cli.output import View, counted, local, usd
from cli.policy_sets import Place, checked, draft_of, found_set, found_versions, in_place, stored_policies, tell
from cli.tables import Column, Listing
from cli.texts import one_line, printable

if TYPE_CHECKING:
    from api.simulations import Run
    from synthralos.domain.policies import PolicySet

Id = Annotated[str, typer.Argument(metavar="ID", help="The policy set's id.")]
File = Annotated[str, typer.Argument(help="TOML or JSON: name, rules, priority …; - is stdin.")]
Stored = Annotated[str | None, typer.Option("--id", help="The stored set that it is to replace.", show_default=False)]
Organization = Annotated[str | None, typer.Option(help="For this one alone.", show_default=False)]
Workspace = Annotated[str | None, typer.Option(help="For this one alone.", show_default=False)]

_CHANGES = (Column("before"), Column("after"), Column("jobs", right=True), Column("such as", cut=True))
_USES = (Column("deployment"), Column("before", right=True), Column("after", right=True))
_RULES = (Column("rule"), Column("matched", right=True), Column("errors", right=True))
_COVERAGE = (Column("rule"), Column("matched", right=True), Column("last"), Column("idle"))


def lint(
    context: typer.Context,
    file: File,
    replace: Stored = None,
    organization: Organization = None,
    workspace: Workspace = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Without the database: with the catalog file, and without jobs.")
    ] = False,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Look at a policy set as if it were published: its warnings, and what it would do to the newest jobs.

    The exit status is 1 where force would be needed. Example: `synthralos policies lint eu.toml --organization acme`
    """
    from pipelines.flow.publishing import refusals  # noqa: PLC0415 - imports the stages

    document = read_document(file)
    checked(document)
    draft = draft_of(document, organization, workspace)
    if offline:
        warnings = _looked_at_offline(draft)
    else:
        with in_place(database_url) as place:
            draft = draft if replace is None else _in_place_of(place, replace, draft)
            warnings = place.warnings_about(draft)
    tell(warnings)
    fine = not refusals(draft, warnings)
    shown = {"warnings": [each.to_json() for each in warnings], "publishable": fine}
    said = f"{counted(len(warnings), 'warning')}, {'it can be published' if fine else 'it has to be forced'}"
    output(context, as_json).show(shown, lambda: Text(said))
    if not fine:
        raise typer.Exit(Exit.FAILED)


def simulate(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Argument(help="A draft, as TOML or JSON; - is stdin.", show_default=False)
    ] = None,
    stored: Stored = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Of the stored set, tried as it is.", show_default=False)
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=1_000_000, help="So many jobs, the newest.")] = 10_000,
    since: Annotated[datetime | None, typer.Option(help="Jobs from this time on (UTC).", show_default=False)] = None,
    until: Annotated[datetime | None, typer.Option(help="Jobs before this time (UTC).", show_default=False)] = None,
    organization: Annotated[str | None, typer.Option(help="Jobs of this one alone.", show_default=False)] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Try a policy set on recorded jobs: what it would decide, where they would go, what they would cost.

    Nothing is stored. Examples: `synthralos policies simulate eu.toml --last 100000`;
    `synthralos policies simulate --id 0199… --version 3 --since 2026-03-01`
    """
    if (file is None and stored is None) or (version is not None and (file is not None or stored is None)):
        raise typer.BadParameter("give a FILE, or the --id of a stored set with or without its --version")
    with in_place(database_url) as place:
        draft = _draft(place, file, stored, version)
        run = _begin(place, draft, last, since, until, organization)
        try:
            with output(context, as_json).progress("simulating", last) as advance:
                while run.step():
                    advance(run.simulation.jobs, last)
        finally:
            run.end()
        report = {**run.simulation.report(), "seconds": round(run.seconds, 3)}
    output(context, as_json).show(report, lambda: _report(report))


def diff(
    context: typer.Context,
    set_id: Id,
    version: Annotated[int, typer.Argument(min=1)],
    other: Annotated[
        int | None, typer.Argument(min=1, metavar="[WITH]", help="Else the version before.", show_default=False)
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: Json = False,
) -> None:
    """Say what a version of a policy set has differently from another one: members, and rules by their ids."""
    from pipelines.policies.differences import differences  # noqa: PLC0415

    other = max(1, version - 1) if other is None else other
    with stored_policies(database_url) as policies:
        documents = {each.number: each.policy for each in found_versions(policies, set_id)}
    before, after = documents.get(other), documents.get(version)
    if before is None or after is None:
        missing = other if before is None else version
        raise typer.BadParameter(f"there is no version {missing}: see `synthralos policies versions {set_id}`")
    found = differences(before.to_json(), after.to_json())
    shown = {"version": version, "with": other, **found}
    output(context, as_json).show(shown, lambda: Text("\n".join(_told(found)) or "they are the same"))


def coverage(context: typer.Context, set_id: Id, database_url: DatabaseUrl = None, as_json: Json = False) -> None:
    """Say how many jobs each rule of a policy set has matched, and which matched none for 30 days."""
    from datetime import UTC  # noqa: PLC0415

    from pipelines.policies.coverage import coverage_of  # noqa: PLC0415
    from synthralos.store.admin.policies import Policies  # noqa: PLC0415
    from synthralos.store.admin.policy_matches import PolicyMatches  # noqa: PLC0415

    with in_place(database_url) as place:
        policies = Policies(place.database)
        policy, versions = found_set(policies, set_id), found_versions(policies, set_id)
        matches = PolicyMatches(place.database).of(set_id)
    matched = {rule: (each.count, each.last_at) for rule, each in matches.items()}
    rules = coverage_of(policy, [(v.policy, v.changed_at) for v in versions], matched, datetime.now(UTC))
    rows = [
        [one_line(each.rule), f"{each.matches:,}", local(each.last_matched_at), "idle" if each.idle else ""]
        for each in rules
    ]
    shown = {"rules": [dataclasses.asdict(each) for each in rules]}
    output(context, as_json).show(shown, lambda: Listing(_COVERAGE, rows))


def _looked_at_offline(draft: "PolicySet") -> Any:
    from datetime import UTC  # noqa: PLC0415

    from pipelines.policies.lint import lint as looked_at  # noqa: PLC0415
    from synthralos.config.catalog import load_catalog  # noqa: PLC0415

    return looked_at(draft.to_json(), datetime.now(UTC), load_catalog(settings().catalog_file))


def _in_place_of(place: Place, set_id: str, draft: "PolicySet") -> "PolicySet":
    from synthralos.store.admin.policies import Policies  # noqa: PLC0415

    stored = found_set(Policies(place.database), set_id)
    return dataclasses.replace(draft, id=stored.id, organization=stored.organization, workspace=stored.workspace)


def _draft(place: Place, file: str | None, stored: str | None, version: int | None) -> "PolicySet":
    from synthralos.store.admin.policies import Policies  # noqa: PLC0415

    if file is not None:
        document = read_document(file)
        checked(document)
        draft = draft_of(document, None, None)
        return draft if stored is None else _in_place_of(place, stored, draft)
    assert stored is not None
    policies = Policies(place.database)
    if version is None:
        return found_set(policies, stored)
    found = {each.number: each.policy for each in found_versions(policies, stored)}.get(version)
    if found is None:
        raise typer.BadParameter(f"there is no version {version}: see `synthralos policies versions {stored}`")
    return found


def _begin(
    place: Place,
    draft: "PolicySet",
    last: int,
    since: datetime | None,
    until: datetime | None,
    organization: str | None,
) -> "Run":
    from datetime import UTC  # noqa: PLC0415

    from api.simulations import Simulations  # noqa: PLC0415
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415
    from synthralos.store.read.recorded import Recorded  # noqa: PLC0415

    begin, end = (None if time is None else time.replace(tzinfo=time.tzinfo or UTC) for time in (since, until))
    if begin is not None and end is not None and begin >= end:
        raise typer.BadParameter("--until is not after --since: give a later time")
    wanted = Recorded(last, begin, end, organization)
    run = Simulations(place.database).begin(place.config, draft, wanted, EVERYTHING)
    if run is None:
        typer.echo("synthralos: another simulation is under way, and there is one at a time: try again", err=True)
        raise typer.Exit(Exit.REFUSED)
    return run


def _report(report: dict[str, Any]) -> View:
    cost = {name: usd(Decimal(sums["usd"])) for name, sums in report["cost"].items()}
    head = (
        f"{report['jobs']:,} jobs in {report['seconds']:.1f} s: {report['changed']:,} would change, "
        f"{report['stopped']:,} would no longer reach a provider ({report['stopped_percent']:.1f} %)\n"
        f"estimated cost {cost['before']} before, {cost['after']} after"
    )
    parts: list[Any] = [Text(head), Listing(_CHANGES, [_change(each) for each in report["decisions"]])]
    if report["moves"]:
        parts.append(Listing(_CHANGES, [_change(each) for each in report["moves"]]))
    uses = [[each["deployment"], f"{each['before']:,}", f"{each['after']:,}"] for each in report["deployments"]]
    parts += [Listing(_USES, uses)] if uses else []
    rules = [[one_line(each["rule"]), f"{each['jobs']:,}", str(each["errors"])] for each in report["rules"]]
    parts += [Listing(_RULES, rules)] if rules else []
    return parts


def _change(each: dict[str, Any]) -> list[str]:
    sample = " ".join(each["sample_job_ids"][:3])
    return [each["before"] or "nowhere", each["after"] or "nowhere", f"{each['jobs']:,}", sample]


def _told(found: dict[str, Any]) -> list[str]:
    """The differences, one a line: + added, - removed, ~ changed, > moved."""
    lines = [_changed(each) for each in found["members"]]
    lines += [f"+ rules[{each['to']}] {each['rule']}" for each in found["added"]]
    lines += [f"- rules[{each['from']}] {each['rule']}" for each in found["removed"]]
    lines += [f"> {each['rule']}: from rules[{each['from']}] to rules[{each['to']}]" for each in found["moved"]]
    for each in found["changed"]:
        lines += [f"{_changed(change)} ({each['rule']})" for change in each["changes"]]
    return [printable(line) for line in lines]


def _changed(change: dict[str, Any]) -> str:
    before, after = (json.dumps(change[side]) if side in change else "(none)" for side in ("before", "after"))
    return f"~ {change['path']}: {before} → {after}"
