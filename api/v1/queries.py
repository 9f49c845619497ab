"""Query parameters, and the cursors that lead from page to page."""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.http.problems import invalid_field
from pipelines.intake.schema import Time
from synthralos.domain.ids import is_id
from synthralos.domain.states import Lane, Stage, State
from synthralos.store.read.jobs import Filters


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character: remove it")
    return text


LONGEST_WAIT = 120.0
"""Seconds that one request may wait for a job's end."""

Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_storable)]


KeyId = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"), AfterValidator(str.lower)
]


class JobQuery(BaseModel):
    """Which jobs to list: all of the conditions that are given, newest first."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    state: Annotated[list[State], Field(max_length=20, description="any of these states")] = []
    stage: Stage | None = None
    model: Annotated[Text | None, Field(description="as it was asked for")] = None
    lane: Lane | None = None
    workspace: Text | None = None
    user: Text | None = None
    run_id: Text | None = None
    trace_id: Annotated[str | None, Field(pattern="^[0-9a-f]{32}$")] = None
    api_key_id: Annotated[KeyId | None, Field(description="submitted with this API key")] = None
    created_after: Annotated[Time | None, Field(description="from this time on")] = None
    created_before: Annotated[Time | None, Field(description="before this time")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None

    def filters(self) -> Filters:
        """For the store: one more than the page holds, to know whether there is a next one."""
        return Filters(
            state=[str(state) for state in self.state],
            stage=self.stage,
            model=self.model,
            lane=self.lane,
            workspace=self.workspace,
            user=self.user,
            run_id=self.run_id,
            trace_id=self.trace_id,
            api_key_id=self.api_key_id,
            created_after=self.created_after,
            created_before=self.created_before,
            before=None if self.cursor is None else decode_cursor(self.cursor),
            limit=self.limit + 1,
        )


class TraceQuery(BaseModel):
    """Which part of a trace to show."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the part before")] = None


class ExportQuery(TraceQuery):
    """Which part of a trace to show, and how."""

    format: Annotated[
        Literal["json", "otlp"], Field(description="`otlp`: as OpenTelemetry's collectors take it, without content")
    ] = "json"


class WaitQuery(BaseModel):
    """How long to wait for a job's end."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    wait: Annotated[
        float, Field(ge=0, le=LONGEST_WAIT, allow_inf_nan=False, description="seconds to wait for its end")
    ] = 0.0


def encode_cursor(job_id: str) -> str:
    """The cursor of the page that follows the job."""
    return base64.urlsafe_b64encode(bytes.fromhex(job_id.replace("-", ""))).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The job id in a cursor; raises a 422."""
    try:
        digits = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).hex()
    except (binascii.Error, ValueError):
        digits = ""
    job_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    if not is_id(job_id):
        raise invalid_field("query.cursor", "is not a cursor of this list", "take it from `next` of the page before")
    return job_id
