"""Policy sets looked at: warnings before one is published, what versions differ in, and what its rules have matched."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.documents import read_document
from api.http.answers import answer
from api.http.openapi import documented, takes
from api.http.problems import warned
from api.room import Room, admit
from api.v1.policy_documents import draft_set, found_set, found_version, found_versions
from api.v1.policy_views import CoverageView, DifferenceView, LintIn, LintView
from pipelines.analyze.trace import rfc3339
from pipelines.flow.publishing import refusals, warnings_about
from pipelines.intake.errors import FieldError
from pipelines.intake.parse import utc_now
from pipelines.policies.coverage import RuleCoverage, coverage_of
from pipelines.policies.differences import differences
from pipelines.policies.lint import PolicyWarning
from synthralos.domain.permissions import Permission
from synthralos.domain.policies import PolicySet

router = APIRouter(prefix="/api/v1/policies", tags=["policies"])

Id = Annotated[str, Path(description="of the policy set")]


class WithQuery(BaseModel):
    """The version to compare with."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    with_: Annotated[int | None, Field(alias="with", ge=1, le=2**31 - 1, description="else the version before")] = None


async def looked_at(room: Room, policy: PolicySet) -> list[PolicyWarning]:
    """The warnings about a set that is to be published: the newest jobs of those whom it is for are read."""
    settings, config, now = room.core.settings, room.core.live.current, utc_now()
    newest = room.simulations.newest(policy, settings.policy_check_jobs)
    async with room.simulations.looks:
        return await room.write(lambda: warnings_about(config, policy, newest, settings.policy_stop_percent, now))


def require_force(policy: PolicySet, warnings: Sequence[PolicyWarning], force: bool) -> list[str]:
    """The kinds of warnings in spite of which it is published; raises 409 where that is not forced."""
    severe = refusals(policy, warnings)
    if severe and not force:
        detail = "Nothing was changed. Where the set is meant like that, send it again with force: true."
        raise warned(detail, [FieldError(each.path, each.problem, each.remedy) for each in severe])
    return sorted({str(each.kind) for each in severe})


@router.post(
    "/lint",
    **documented(LintView, "What is said about it", found=True, validated=True, body=True),
    openapi_extra=takes(LintIn, required=True),
)
async def lint_policy(request: Request) -> Response:
    """Look at a policy set as if it were published: the warnings, and whether force would be needed."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    wanted = await read_document(request, room, LintIn)
    policy = await draft_set(room, caller, wanted.draft, wanted.policy_id)
    warnings = await looked_at(room, policy)
    said = [each.to_json() for each in warnings]
    return answer({"warnings": said, "publishable": not refusals(policy, warnings)})


@router.get("/{set_id}/coverage", **documented(CoverageView, "What its rules have matched", found=True))
async def get_coverage(request: Request, set_id: Id) -> Response:
    """How many jobs each rule of a policy set has matched, when last, and which rules matched none for 30 days."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    policy = await found_set(room, caller, set_id)
    versions = await found_versions(room, caller, set_id)
    matches = await room.read(lambda: room.matches.of(set_id))
    matched = {rule: (each.count, each.last_at) for rule, each in matches.items()}
    rules = coverage_of(policy, [(v.policy, v.changed_at) for v in versions], matched, utc_now())
    return answer({"rules": [_covered(each) for each in rules]})


@router.get(
    "/{set_id}/versions/{version}/diff",
    **documented(DifferenceView, "What it has differently", found=True, validated=True),
)
async def diff_versions(
    request: Request,
    set_id: Id,
    version: Annotated[int, Path(ge=1, le=2**31 - 1)],
    query: Annotated[WithQuery, Query()],
) -> Response:
    """What a version has that another one, by default the one before, has differently: members, and rules by id."""
    room, caller = await admit(request, Permission.READ_POLICIES)
    other = max(1, version - 1) if query.with_ is None else query.with_
    before = await found_version(room, caller, set_id, other, "query.with")
    after = await found_version(room, caller, set_id, version, "path.version")
    return answer({"version": version, "with": other, **differences(before.to_json(), after.to_json())})


def _covered(each: RuleCoverage) -> dict[str, Any]:
    last = None if each.last_matched_at is None else rfc3339(each.last_matched_at)
    return {**dataclasses.asdict(each), "last_matched_at": last, "since": rfc3339(each.since)}
