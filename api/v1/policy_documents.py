"""What the doors of policy sets share: documents that are checked, sets that are found, and whose they are."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.http.auth import Caller
from api.http.problems import forbidden, invalid, invalid_field, not_found
from api.room import Room
from pipelines.intake.errors import FieldError
from pipelines.policies.problems import InvalidPolicy
from pipelines.policies.rules import read_document
from synthralos.domain.ids import is_id
from synthralos.domain.policies import PolicySet
from synthralos.store.admin.policies import PolicyVersion

OWNERS = ("organization", "workspace")
"""Members that say whose set it is; they are no part of its versions."""


def check_document(document: Mapping[str, Any], where: str = "") -> None:
    """Raises 422 with every problem of a set's document; `where` leads to the document."""
    try:
        read_document({name: value for name, value in document.items() if name not in OWNERS})
    except InvalidPolicy as error:
        raise invalid([FieldError(f"{where}{p.path}", p.problem, p.remedy) for p in error.problems]) from None


def owner_of(
    organization: str | None, workspace: str | None, caller: Caller, where: str = ""
) -> tuple[str | None, str | None]:
    """Whose set it is that names these: a key that is bound to a tenant makes sets of that one alone."""
    scope = caller.scope
    if organization not in (None, scope.organization or organization):
        raise forbidden("The key is bound to another organization.")
    if scope.workspace is not None and workspace not in (None, scope.workspace):
        raise forbidden("The key is bound to another workspace.")
    organization = organization or scope.organization
    workspace = workspace or scope.workspace
    if workspace is not None and organization is None:
        raise invalid_field(f"{where}workspace", "stands without its organization", "name the organization, too")
    return organization, workspace


DRAFT = "draft"
"""The id of a set that is none yet."""


async def draft_set(
    room: Room, caller: Caller, draft: dict[str, Any], policy_id: str | None, where: str = "draft."
) -> PolicySet:
    """A draft as the set that it would be, with `policy_id` in the place of that one; raises 403, 404 and 422."""
    check_document(draft, where)
    if policy_id is not None:
        stored = await found_set(room, caller, policy_id)
        made = PolicySet.from_json({**draft, "id": stored.id, "version": stored.version})
        return replace(made, organization=stored.organization, workspace=stored.workspace)
    names = [_name(draft, member, where) for member in OWNERS]
    organization, workspace = owner_of(names[0], names[1], caller, where)
    made = PolicySet.from_json({**draft, "id": DRAFT, "version": 0})
    return replace(made, organization=organization, workspace=workspace)


def _name(draft: dict[str, Any], member: str, where: str) -> str | None:
    given = draft.get(member)
    if given is not None and not isinstance(given, str):
        raise invalid_field(f"{where}{member}", "is no text", f"name the {member}")
    return given


async def found_set(room: Room, caller: Caller, set_id: str) -> PolicySet:
    """The set; raises a 404 where there is none that the caller may see."""
    found = await room.read(lambda: room.policies.get(set_id, caller.scope)) if is_id(set_id) else None
    if found is None:
        raise not_found("There is no such policy set.")
    return found


async def found_versions(room: Room, caller: Caller, set_id: str) -> list[PolicyVersion]:
    """All versions of the set, newest first; raises a 404 as `found_set` does."""
    found = await room.read(lambda: list(room.policies.versions(set_id, caller.scope))) if is_id(set_id) else []
    if not found:
        raise not_found("There is no such policy set.")
    return found


async def found_version(room: Room, caller: Caller, set_id: str, number: int, field: str) -> PolicySet:
    """One version of the set; raises 404, and 422 about `field` where there is no such version."""
    versions = await found_versions(room, caller, set_id)
    policy = {each.number: each.policy for each in versions}.get(number)
    if policy is None:
        raise invalid_field(field, "there is no such version", "see the versions of the set")
    return policy
