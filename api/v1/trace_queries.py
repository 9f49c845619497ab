"""What traces may be searched by, and the cursors of such lists."""

import base64
import binascii
from decimal import Decimal
from typing import Annotated, Any

import orjson
from pydantic import Field

from api.http.problems import invalid_field
from api.v1.queries import JobQuery, Text, decode_cursor, encode_cursor
from synthralos.domain.failures import FailureClass
from synthralos.domain.ids import is_id
from synthralos.domain.search import Search, SearchError, marker, search_of, tag_marker
from synthralos.domain.trace_queries import Range, Sort, Wanted

Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=18, decimal_places=12, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=-1_000_000, le=1_000_000, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=0, le=10**12)]

_BEYOND_LISTS = (
    "q", "organization", "deployment", "failure_class", "finding", "tag", "min_cost_usd", "max_cost_usd",
    "min_seconds", "max_seconds", "min_tokens", "max_tokens",
    "label", "min_score", "max_score",
)  # fmt: skip

_IN_NO_INDEX = ("state", "stage", "model", "lane")
"""Of what lists know, what a list would go through all jobs for, where hardly any has it: a search has its bound."""

_LISTED = {
    "trace_id": "leave it out, or get the trace itself by its id",
    "api_key_id": "leave it out, or list jobs by it",
}
"""What only lists know, and what to do instead."""


class TracesQuery(JobQuery):
    """Which traces to find: those that have a job for which all conditions hold."""

    q: Annotated[
        str | None,
        Field(
            max_length=500,
            description='words in prompt, result, error and metadata: all of them, "side by side", -not, begin*',
        ),
    ] = None
    organization: Text | None = None
    deployment: Annotated[Text | None, Field(description="that was called")] = None
    failure_class: Annotated[FailureClass | None, Field(description="of the job or of one of its calls")] = None
    finding: Annotated[Text | None, Field(description="a guard that found something, such as `abuse`")] = None
    tag: Annotated[Text | None, Field(description="NAME=VALUE: a member of the jobs' metadata")] = None
    min_cost_usd: Usd | None = None
    max_cost_usd: Usd | None = None
    min_seconds: Annotated[Seconds | None, Field(description="from acceptance to end")] = None
    max_seconds: Seconds | None = None
    min_tokens: Annotated[Tokens | None, Field(description="input and output together")] = None
    max_tokens: Tokens | None = None
    label: Annotated[Text | None, Field(description="feedback was given under it")] = None
    min_score: Annotated[Score | None, Field(description="of feedback; with a label, of the same piece")] = None
    max_score: Score | None = None
    sort: Annotated[Sort, Field(description="`cost` and `duration`: the most first, and finished jobs alone")] = (
        Sort.NEWEST
    )
    cursor: Annotated[str | None, Field(max_length=200, description="`next` of the page before")] = None

    @property
    def searches(self) -> bool:
        """Whether it asks for more than a list that an index has in its order."""
        if self.sort is not Sort.NEWEST or any(getattr(self, name) is not None for name in _BEYOND_LISTS):
            return True
        listed = self.trace_id is not None or self.api_key_id is not None
        return not listed and any(getattr(self, name) for name in _IN_NO_INDEX)

    def wanted(self) -> Wanted:
        """For the store. Raises a 422."""
        for name, remedy in _LISTED.items():
            if getattr(self, name) is not None:
                raise invalid_field(f"query.{name}", "cannot be searched within", remedy)
        return Wanted(
            search=self._search(),
            state=tuple(str(state) for state in self.state),
            stage=self.stage,
            model=self.model,
            lane=self.lane,
            organization=self.organization,
            workspace=self.workspace,
            user=self.user,
            run_id=self.run_id,
            created_after=self.created_after,
            created_before=self.created_before,
            cost=Range(self.min_cost_usd, self.max_cost_usd),
            seconds=Range(self.min_seconds, self.max_seconds),
            tokens=Range(self.min_tokens, self.max_tokens),
            label=self.label,
            score=Range(self.min_score, self.max_score),
            sort=self.sort,
            after=None if self.cursor is None else decode_place(self.cursor, self.sort),
            limit=self.limit,
        )

    def _search(self) -> Search | None:
        marked = {"d": self.deployment, "c": self.failure_class, "f": self.finding}
        markers = [marker(kind, value) for kind, value in marked.items() if value is not None]
        if self.tag is not None:
            name, equals, value = self.tag.partition("=")
            if not equals or not name:
                raise invalid_field("query.tag", "is no NAME=VALUE", "send such as `project=search`")
            markers.append(tag_marker(name, value))
        try:
            return search_of(self.q, markers)
        except SearchError as error:
            raise invalid_field("query.q", str(error), "send some words that are to be found") from None


def encode_place(place: tuple[Any, str]) -> str:
    """The cursor of the page that follows a place in a list."""
    value, job_id = place
    if value is None:
        return encode_cursor(job_id)
    return base64.urlsafe_b64encode(orjson.dumps([str(value), job_id])).decode().rstrip("=")


def decode_place(cursor: str, sort: Sort) -> tuple[Any, str]:
    """The place in a cursor of a list of that order; raises a 422."""
    if sort is Sort.NEWEST:
        return None, decode_cursor(cursor)
    try:
        value, job_id = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        number = Decimal(value)
        if not number.is_finite() or not is_id(job_id):
            raise ValueError
    except (binascii.Error, ValueError, TypeError, ArithmeticError):
        problem = "is not a cursor of this list"
        raise invalid_field("query.cursor", problem, "take it from `next` of the page before") from None
    return (number if sort is Sort.COST else float(number)), job_id
