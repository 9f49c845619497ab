"""What was spent, over HTTP: grouped, filtered, as JSON or CSV."""

import base64
import binascii
import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.http.answers import answer
from api.http.openapi import documented
from api.http.problems import invalid_field
from api.room import admit
from api.v1.queries import KeyId, Text
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.parse import utc_now
from pipelines.intake.schema import Time
from synthralos.domain.costs import (
    DEFAULT_RANGE,
    LONGEST_OF_JOBS,
    LONGEST_RANGE,
    Basis,
    CostQuery,
    CostRow,
    Dimension,
    Group,
    Kind,
    group_of,
    groups_of,
)
from synthralos.domain.permissions import Permission

router = APIRouter(prefix="/api/v1/costs", tags=["observability"])

MOST_GROUPS = 10_000
NEXT = "Synthralos-Next"
"""The header of a CSV answer that holds the cursor of the next page."""

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class CostsQuery(BaseModel):
    """What to sum up, and by what. All conditions that are given have to hold."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    group_by: Annotated[
        str,
        Field(
            max_length=500,
            description="comma-separated: organization, workspace, user, model, deployment, provider, day, hour, "
            "stage, run, api_key, kind, basis, and tag:NAME for a member of the jobs' metadata; empty: one sum",
        ),
    ] = ""
    since: Annotated[Time | None, Field(description="calls that ended from then on; default: 30 days before until")] = (
        None
    )
    until: Annotated[Time | None, Field(description="calls that ended before then; default: now")] = None
    organization: Text | None = None
    workspace: Text | None = None
    user: Text | None = None
    model: Text | None = None
    deployment: Text | None = None
    provider: Text | None = None
    run: Text | None = None
    api_key: Annotated[KeyId | None, Field(description="the id of the API key that submitted the jobs")] = None
    tag: Annotated[Text | None, Field(description="NAME=VALUE: a member of the jobs' metadata")] = None
    kind: Kind | None = None
    basis: Basis | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_GROUPS, description="how many groups at most")] = 1000
    cursor: Annotated[str | None, Field(max_length=4000, description="`next` of the page before")] = None
    format: Annotated[Literal["json", "csv"] | None, Field(description="default: by the Accept header")] = None

    def question(self, now: datetime) -> CostQuery:
        """For the store: one more than the page holds, to know whether there is a next one. Raises a 422."""
        try:
            groups = groups_of(self.group_by)
        except ValueError as error:
            raise invalid_field("query.group_by", str(error), "see docs/costs.md for what there is") from None
        since, until = self._range(now)
        after = None if self.cursor is None else _decode(self.cursor, groups)
        query = CostQuery(since, until, groups, self._where(), after, self.limit + 1)
        _require_short(query)
        return query

    def _range(self, now: datetime) -> tuple[datetime, datetime]:
        until = self.until or now + timedelta(minutes=10)  # so far may the database's clock be ahead of this one
        try:
            since = self.since or until - DEFAULT_RANGE
        except OverflowError:
            raise invalid_field("query.until", "is before all time", "send a time of this century") from None
        if since >= until:
            raise invalid_field("query.since", "is not before until", "send an earlier time, or a later until")
        if until - since > LONGEST_RANGE + timedelta(hours=1):
            days = LONGEST_RANGE.days
            raise invalid_field("query.since", f"is more than {days} days before until", "ask for a shorter time")
        return since, until

    def _where(self) -> dict[Group, str]:
        named = {
            Dimension.ORGANIZATION: self.organization,
            Dimension.WORKSPACE: self.workspace,
            Dimension.USER: self.user,
            Dimension.MODEL: self.model,
            Dimension.DEPLOYMENT: self.deployment,
            Dimension.PROVIDER: self.provider,
            Dimension.RUN: self.run,
            Dimension.API_KEY: self.api_key,
            Dimension.KIND: self.kind,
            Dimension.BASIS: self.basis,
        }
        where = {Group(dimension): str(value) for dimension, value in named.items() if value is not None}
        if self.tag is not None:
            name, equals, value = self.tag.partition("=")
            if not equals or not name:
                raise invalid_field("query.tag", "is no NAME=VALUE", "send such as `project=search`")
            where[group_of(f"tag:{name}")] = value
        return where


class CostGroup(View):
    """What the calls of one group took and cost. Money is decimal text in US dollars, exact."""

    group: Annotated[dict[str, str], Field(description="a value for each of group_by; empty where there is none")]
    calls: int
    unknown_cost_calls: Annotated[int, Field(description="billed, at a cost that nobody knows: in no sum")]
    maybe_billed_calls: Annotated[int, Field(description="nobody saw their end: the provider may have billed them")]
    input_tokens: int
    cached_tokens: Annotated[int, Field(description="read from the provider's cache; part of input_tokens")]
    cache_write_tokens: Annotated[int, Field(description="part of input_tokens")]
    output_tokens: int
    reasoning_tokens: Annotated[int, Field(description="part of output_tokens")]
    reused_jobs: Annotated[int, Field(description="answered by an earlier result, without a call")]
    cost_usd: Annotated[str, Field(description="the known part")]
    spent_maybe_usd: Annotated[str, Field(description="what calls that may have been billed had reserved; not in cost")]


class CostPage(View):
    """Groups in the order of their values."""

    since: AwareDatetime
    until: AwareDatetime
    costs: list[CostGroup]
    next: str | None


@router.get("", **documented(CostPage, "What was spent", validated=True, csv=True))
async def sum_costs(request: Request, query: Annotated[CostsQuery, Query()]) -> Response:
    """Sum up what calls took and cost, exact to the last call that ended. CSV by `format=csv` or the Accept header."""
    room, caller = await admit(request, Permission.READ_JOBS)
    question = query.question(utc_now())
    found = await room.read(lambda: room.costs.rows(question, caller.scope))
    shown = found[: query.limit]
    following = _encode(shown[-1].group) if len(found) > query.limit else None
    if _wants_csv(request, query):
        return _csv(question.groups, shown, following)
    page = {"since": rfc3339(question.since), "until": rfc3339(question.until)}
    return answer({**page, "costs": [_view(question.groups, row) for row in shown], "next": following})


def csv_text(groups: Sequence[Group], rows: Sequence[CostRow]) -> str:
    """The rows with a head. What a spreadsheet would take for a formula is text there, by a quote in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*(_cell(group.name) for group in groups), *CostRow(()).to_json()])
    for row in rows:
        writer.writerow([*(_cell(value) for value in row.group), *row.to_json().values()])
    return out.getvalue()


def _csv(groups: Sequence[Group], rows: Sequence[CostRow], following: str | None) -> Response:
    headers = {"Content-Disposition": 'attachment; filename="costs.csv"'}
    if following is not None:
        headers[NEXT] = following
    return Response(csv_text(groups, rows), 200, headers, "text/csv; charset=utf-8")


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _wants_csv(request: Request, query: CostsQuery) -> bool:
    if query.format is not None:
        return query.format == "csv"
    accepted = request.headers.get("accept", "")
    return "text/csv" in accepted and "application/json" not in accepted


def _view(groups: Sequence[Group], row: CostRow) -> dict[str, Any]:
    named = {group.name: value for group, value in zip(groups, row.group, strict=True)}
    return {"group": named, **row.to_json()}


def _require_short(query: CostQuery) -> None:
    if query.of_jobs and query.until - query.since > LONGEST_OF_JOBS + timedelta(hours=1):
        days = LONGEST_OF_JOBS.days
        raise invalid_field(
            "query.since", f"is more than {days} days before until", "runs and tags need a shorter time"
        )


def _encode(values: tuple[str, ...]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def _decode(cursor: str, groups: Sequence[Group]) -> tuple[str, ...]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(values, list) or len(values) != len(groups):
            raise ValueError
        for group, value in zip(groups, values, strict=True):
            _require_value(group, value)
    except (binascii.Error, ValueError):
        problem = "is not a cursor of these groups"
        raise invalid_field("query.cursor", problem, "take it from `next` of the page before") from None
    return tuple(values)


def _require_value(group: Group, value: Any) -> None:
    """Raises `ValueError` for what no page can have ended with."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    if group.dimension in (Dimension.DAY, Dimension.HOUR) and datetime.fromisoformat(value).tzinfo is None:
        raise ValueError
