"""Policy sets over HTTP: written, versioned, rolled back, and tried on jobs before they decide."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.auth import Caller
from api.http.openapi import documented, takes
from api.http.problems import forbidden, invalid_field, not_found
from api.http.versions import IfMatch, changed_meanwhile, etag, expected_version
from api.room import Room, admit
from api.v1.configuration_views import ReasonQuery
from api.v1.idempotency import once
from api.v1.policy_checks import looked_at, require_force
from api.v1.policy_documents import (
    OWNERS,
    check_document,
    draft_set,
    found_set,
    found_version,
    found_versions,
    owner_of,
)
from api.v1.policy_views import (
    EvaluateIn,
    EvaluationView,
    PolicyIn,
    PolicyList,
    PolicyVersionList,
    PolicyView,
    PublishedView,
    RollbackIn,
)
from pipelines.analyze.trace import rfc3339
from pipelines.intake.parse import utc_now
from pipelines.policies.evaluate import CompiledPolicies
from pipelines.policies.facts import Facts, WrongFactError, stated
from pipelines.policies.lint import PolicyWarning
from pipelines.policies.recorded import recorded
from synthralos.domain.permissions import Permission
from synthralos.domain.policies import PolicySet
from synthralos.store.admin.audit import By
from synthralos.store.admin.policies import Outdated, PolicyVersion

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])

Id = Annotated[str, Path(description="of the policy set")]
_ONE = documented(PolicyView, "The policy set", found=True)
_CHANGED = documented(
    PublishedView,
    "The policy set afterwards, and what is said about it",
    found=True,
    validated=True,
    conflicting=True,
    versioned=True,
    body=True,
)


@router.get("", **documented(PolicyList, "The policy sets"))
async def list_policies(request: Request) -> Response:
    """List the policy sets that the key may see."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    found = await room.read(lambda: room.policies.all(caller.scope))
    return answer({"policies": [policy.to_json() for policy in found]})


@router.post(
    "",
    **documented(
        PublishedView,
        "The new policy set, and what is said about it",
        validated=True,
        conflicting=True,
        body=True,
        status=201,
    ),
    openapi_extra=takes(PolicyIn, required=True, keyed=True),
)
async def create_policy(request: Request) -> Response:
    """Make a policy set. It decides in every process within two seconds. Severe warnings have to be forced."""
    room, caller = await admit(request, Permission.WRITE_POLICIES)
    wanted = await read_document(request, room, PolicyIn)
    document = _document(wanted)
    organization, workspace = owner_of(wanted.organization, wanted.workspace, caller)
    owned = {**document, "organization": organization, "workspace": workspace}

    async def make(by: By) -> Response:
        draft = await draft_set(room, caller, owned, None, "")
        warnings = await looked_at(room, draft)
        forced = require_force(draft, warnings, wanted.force)
        made = await room.configure(lambda: room.policies.create(document, organization, workspace, by, forced))
        return _answered(made, 201, warnings)

    async def again(made: str) -> Response:
        return _answered(await found_set(room, caller, made), 201, [])

    return await once(request, room, caller, wanted, make, again)


@router.post(
    "/evaluate",
    **documented(EvaluationView, "What is decided, and why", found=True, validated=True, body=True),
    openapi_extra=takes(EvaluateIn, required=True),
)
async def evaluate(request: Request) -> Response:
    """Try policies on a recorded job or on stated facts: the decision, and for each rule what was seen."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    wanted = await read_document(request, room, EvaluateIn)
    facts = await _facts(room, caller, wanted, utc_now())
    if wanted.draft is None:
        policies = room.core.live.current.policies
    else:
        check_document(wanted.draft, "draft.")
        policies = (PolicySet.from_json({**wanted.draft, "id": "draft", "version": 0}),)
    compiled = CompiledPolicies(policies)
    ruling = compiled.decide(facts)
    return answer(
        {
            "decision": str(ruling.decision),
            "reason": ruling.reason,
            "ruling": ruling.to_json(),
            "rules": [each for each in compiled.explain(facts) if _may_see(caller, each["set_id"], policies)],
        }
    )


@router.get("/{set_id}", **_ONE)
async def get_policy(request: Request, set_id: Id) -> Response:
    """One policy set, with its version as ETag."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    return _answered(await found_set(room, caller, set_id))


@router.put("/{set_id}", **_CHANGED, openapi_extra=takes(PolicyIn, required=True))
async def replace_policy(request: Request, set_id: Id, if_match: IfMatch = None) -> Response:
    """Replace a policy set by a new version; its scope stays. With If-Match, only where nobody changed it meanwhile."""
    room, caller = await admit(request, Permission.WRITE_POLICIES)
    wanted = await read_document(request, room, PolicyIn)
    by, expected = By(caller.actor, wanted.reason), expected_version(if_match)
    return await _replaced(room, caller, set_id, _document(wanted), by, expected, force=wanted.force)


@router.delete("/{set_id}", **documented(PolicyView, "It, as it was", found=True, validated=True, versioned=True))
async def remove_policy(
    request: Request, set_id: Id, query: Annotated[ReasonQuery, Query()], if_match: IfMatch = None
) -> Response:
    """Remove a policy set; its versions are kept."""
    room, caller = await admit(request, Permission.WRITE_POLICIES)
    await found_set(room, caller, set_id)
    by, expected = By(caller.actor, query.reason), expected_version(if_match)
    return _settled(await room.configure(lambda: room.policies.remove(set_id, caller.scope, by, expected)))


@router.get("/{set_id}/versions", **documented(PolicyVersionList, "Its versions", found=True))
async def list_versions(request: Request, set_id: Id) -> Response:
    """All versions of a policy set, newest first; also of one that was removed."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    return answer({"versions": [_version(each) for each in await found_versions(room, caller, set_id)]})


@router.post("/{set_id}/rollback", **_CHANGED, openapi_extra=takes(RollbackIn, required=True))
async def roll_back(request: Request, set_id: Id, if_match: IfMatch = None) -> Response:
    """Have an earlier version again, as a new one."""
    room, caller = await admit(request, Permission.WRITE_POLICIES)
    wanted = await read_document(request, room, RollbackIn)
    earlier = await found_version(room, caller, set_id, wanted.version, "version")
    document = {name: value for name, value in earlier.to_json().items() if name not in {"id", "version", *OWNERS}}
    by, expected = By(caller.actor, wanted.reason or f"back to version {wanted.version}"), expected_version(if_match)
    return await _replaced(room, caller, set_id, document, by, expected, force=wanted.force)


async def _replaced(
    room: Room,
    caller: Caller,
    set_id: str,
    document: Mapping[str, Any],
    by: By,
    expected: int | None,
    *,
    force: bool,
) -> Response:
    stored = await found_set(room, caller, set_id)
    if expected not in (None, stored.version):
        raise changed_meanwhile("policy set", stored.version)
    draft = PolicySet.from_json({**stored.to_json(), **document})
    warnings = await looked_at(room, draft)
    forced, scope = require_force(draft, warnings, force), caller.scope
    outcome = await room.configure(lambda: room.policies.replace(set_id, document, scope, by, expected, forced))
    return _settled(outcome, warnings)


def _settled(outcome: PolicySet | Outdated | None, warnings: Sequence[PolicyWarning] | None = None) -> Response:
    if outcome is None:
        raise not_found("There is no such policy set.")
    if isinstance(outcome, Outdated):
        raise changed_meanwhile("policy set", outcome.version)
    return _answered(outcome, 200, warnings)


def _version(each: PolicyVersion) -> dict[str, Any]:
    return {
        "version": each.number,
        "policy": None if each.policy is None else each.policy.to_json(),
        "changed_at": rfc3339(each.changed_at),
        "changed_by": each.changed_by,
        "reason": each.reason,
    }


def _answered(policy: PolicySet, status: int = 200, warnings: Sequence[PolicyWarning] | None = None) -> Response:
    said = {} if warnings is None else {"warnings": [each.to_json() for each in warnings]}
    return answer({**policy.to_json(), **said}, status, etag(policy.version))


def _document(wanted: PolicyIn) -> dict[str, Any]:
    """The document as it is stored; raises 422 with every problem of its rules."""
    document = wanted.model_dump(mode="json", exclude={"reason", "force", *OWNERS})
    check_document(document)
    return document


async def _facts(room: Room, caller: Caller, wanted: EvaluateIn, now: datetime) -> Facts:
    row = None if wanted.job_id is None else await room.job(wanted.job_id, caller)
    scope = caller.scope
    given = {"organization": scope.organization or "default", "workspace": scope.workspace or "default"}
    try:
        values = stated({**({} if row is not None else given), **wanted.facts}, now)
    except WrongFactError as error:
        raise invalid_field(f"facts.{error.name}", error.problem, error.remedy) from None
    if scope.organization is not None and values.get("organization", scope.organization) != scope.organization:
        raise forbidden("The key is bound to another organization.")
    if row is None:
        return values
    found = recorded(row, now)
    found.update(values)
    return found


def _may_see(caller: Caller, set_id: str, policies: tuple[PolicySet, ...]) -> bool:
    """Rules of the installation's own sets are not shown to those who are bound to a tenant; their decision is."""
    policy = next(each for each in policies if each.id == set_id)
    return caller.scope.organization is None or policy.id == "draft" or policy.organization is not None
