"""What the commands about policy sets share: finding sets, checking documents, telling warnings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from cli.configuring import kept
from cli.exits import Exit
from cli.options import opened, settings
from cli.texts import printable

if TYPE_CHECKING:
    from pipelines.policies.lint import PolicyWarning
    from synthralos.config.config import Config
    from synthralos.config.settings import Settings
    from synthralos.domain.policies import PolicySet
    from synthralos.store.admin.policies import Policies, PolicyVersion
    from synthralos.store.sql.database import Database


class Place:
    """A database, the configuration that is in force there, and the settings of this command."""

    def __init__(self, database: "Database", config: "Config", chosen: "Settings") -> None:
        self.database, self.config, self.settings = database, config, chosen

    def warnings_about(self, policy: "PolicySet") -> "list[PolicyWarning]":
        """What is said about a set that is to be published; the newest jobs of those whom it is for are read."""
        from datetime import UTC, datetime  # noqa: PLC0415

        from pipelines.flow.publishing import warnings_about  # noqa: PLC0415 - imports the stages
        from synthralos.domain.scope import Scope  # noqa: PLC0415
        from synthralos.store.read.recorded import Recorded, RecordedJobs  # noqa: PLC0415

        scope, last = Scope(policy.organization, policy.workspace), self.settings.policy_check_jobs
        newest = RecordedJobs(self.database).pages(Recorded(last), scope)
        return warnings_about(self.config, policy, newest, self.settings.policy_stop_percent, datetime.now(UTC))

    def require_force(self, policy: "PolicySet", force: bool) -> list[str]:
        """The kinds of severe warnings in spite of which it is published; ends the command where not forced."""
        from pipelines.flow.publishing import refusals  # noqa: PLC0415

        warnings = self.warnings_about(policy)
        tell(warnings)
        severe = refusals(policy, warnings)
        if severe and not force:
            typer.echo("synthralos: nothing was changed: where it is meant like that, give --force", err=True)
            raise typer.Exit(Exit.REFUSED)
        return sorted({str(each.kind) for each in severe})


@contextmanager
def in_place(database_url: str | None) -> Iterator[Place]:
    """The database of the option, else of DATABASE_URL, with what is in force there."""
    from synthralos.store.admin.configuration import Configuration  # noqa: PLC0415

    chosen = settings(database_url=database_url)
    with opened(database_url) as database:
        live = kept(chosen, Configuration(database))
        live.read()
        yield Place(database, live.current, chosen)


def tell(warnings: "Sequence[PolicyWarning]") -> None:
    """The warnings, one a line, on standard error."""
    for each in warnings:
        kind = "severe" if each.severe else "warning"
        typer.echo(f"synthralos: {kind}: {printable(f'{each.path} {each.problem}: {each.remedy}')}", err=True)


def draft_of(document: Any, organization: str | None, workspace: str | None) -> "PolicySet":
    """A valid document as the set that it would be."""
    from synthralos.domain.policies import PolicySet  # noqa: PLC0415

    owner = {"organization": organization, "workspace": workspace}
    return PolicySet.from_json({**document, **owner, "id": "draft", "version": 0})


@contextmanager
def stored_policies(database_url: str | None) -> Iterator["Policies"]:
    """The policy sets of the database of the option, else of DATABASE_URL."""
    from synthralos.store.admin.policies import Policies  # noqa: PLC0415 - the database layer is slow to import

    with opened(database_url) as database:
        yield Policies(database)


def found_set(policies: "Policies", set_id: str) -> "PolicySet":
    """The set; ends the command where there is none."""
    from synthralos.domain.ids import is_id  # noqa: PLC0415
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    found = policies.get(set_id, EVERYTHING) if is_id(set_id) else None
    if found is None:
        raise _missing(set_id)
    return found


def found_versions(policies: "Policies", set_id: str) -> "list[PolicyVersion]":
    """All versions of the set, newest first; ends the command where there is none."""
    from synthralos.domain.ids import is_id  # noqa: PLC0415
    from synthralos.domain.scope import EVERYTHING  # noqa: PLC0415

    found = list(policies.versions(set_id, EVERYTHING)) if is_id(set_id) else []
    if not found:
        raise _missing(set_id)
    return found


def _missing(set_id: str) -> typer.Exit:
    typer.echo(f"synthralos: there is no policy set {set_id}: `synthralos policies list` shows all", err=True)
    return typer.Exit(Exit.REFUSED)


def settled(outcome: Any) -> "PolicySet":
    """The changed set; ends the command where somebody was quicker."""
    from synthralos.domain.policies import PolicySet  # noqa: PLC0415

    if isinstance(outcome, PolicySet):
        return outcome
    told = "it is gone" if outcome is None else f"it is at version {outcome.version} now"
    typer.echo(f"synthralos: somebody has changed the set meanwhile: {told}", err=True)
    raise typer.Exit(Exit.REFUSED)


def checked(document: Any) -> tuple[Any, ...]:
    """The rules of a valid document; ends the command with every mistake of another one."""
    from pipelines.policies.problems import InvalidPolicy  # noqa: PLC0415
    from pipelines.policies.rules import read_document as read_policy  # noqa: PLC0415

    try:
        return read_policy(document)
    except InvalidPolicy as error:
        for problem in error.problems:
            typer.echo(f"synthralos: {problem.path} {problem.problem}: {problem.remedy}", err=True)
        raise typer.Exit(Exit.REFUSED) from None
