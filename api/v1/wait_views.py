"""What is sent and answered about wait points."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from api.v1.queries import LONGEST_WAIT, Text, decode_cursor
from api.v1.views import View
from pipelines.analyze.trace import rfc3339
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Name
from synthralos.domain.ids import is_id
from synthralos.domain.waits import LONGEST_WAIT_POINT, MOST_PAYLOAD_BYTES, Answer, Wait, WaitKind, WaitState
from synthralos.store.queue.waits import WaitFilter


def an_id(text: str) -> str:
    """The id of a job, as it is stored; raises `ValueError`."""
    if not is_id(text):
        raise ValueError("is no id: take it from a job or a trace")
    return text.lower()


def _small(payload: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(payload)) > MOST_PAYLOAD_BYTES:
        raise ValueError(f"has more than {MOST_PAYLOAD_BYTES} bytes as JSON: send where it is instead")
    return payload


Payload = Annotated[dict[str, Any], AfterValidator(_small), Field(description="of a signal; at most 16 KiB as JSON")]
Said = Literal["approve", "deny"]


class WaitsQuery(BaseModel):
    """Which wait points to list: all of the conditions that are given, newest first."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    state: WaitState | None = None
    kind: WaitKind | None = None
    name: Annotated[Text | None, Field(description="who has to approve, or the signal")] = None
    job: Annotated[str | None, AfterValidator(an_id), Field(description="of this job")] = None
    run: Annotated[Text | None, Field(description="of this run, and of its jobs")] = None
    limit: Annotated[int, Field(ge=1, le=200, description="how many at most")] = 50
    cursor: Annotated[str | None, Field(max_length=64, description="`next` of the page before")] = None

    def wanted(self) -> WaitFilter:
        """For the store."""
        before = None if self.cursor is None else decode_cursor(self.cursor)
        return WaitFilter(self.state, self.kind, self.name, self.job, self.run, before)


class AnswerQuery(BaseModel):
    """How long to wait for the answer."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    wait: Annotated[
        float, Field(ge=0, le=LONGEST_WAIT, allow_inf_nan=False, description="seconds to wait for the answer")
    ] = 0.0


class AnswerIn(Closed):
    """An answer: `answer` of an approval, `payload` of a signal."""

    answer: Annotated[Said | None, Field(description="of an approval")] = None
    payload: Payload | None = None
    comment: Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$", description="why; it goes on record")] = ""


class RunWaitIn(Closed):
    """What an agent asks for its run. The default holds when the deadline passes."""

    kind: Annotated[WaitKind, Field(strict=False)] = WaitKind.APPROVAL
    name: Annotated[Name, Field(description="who has to approve, or the signal that has to come")]
    prompt: Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$", description="what is asked")] = ""
    within_seconds: Annotated[float, Field(ge=1, le=LONGEST_WAIT_POINT)] = 86_400.0
    default: Annotated[Said, Field(description="of an approval")] = "deny"
    default_payload: Annotated[Payload | None, Field(description="of a signal; null: there is none")] = None
    organization: Annotated[Name, Field(description="only with a key of the whole installation")] | None = None
    workspace: Annotated[Name, Field(description="where the key is not bound to one")] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "RunWaitIn":
        wrong = "default" if self.kind is WaitKind.SIGNAL else "default_payload"
        if wrong in self.model_fields_set:
            raise ValueError(f"{wrong} does not belong to {self.kind}: leave it out")
        return self

    @property
    def default_answer(self) -> Answer | None:
        """The answer that holds when the deadline passes."""
        if self.kind is WaitKind.APPROVAL:
            return {"answer": self.default}
        return None if self.default_payload is None else {"payload": self.default_payload}


class AnswerView(View):
    """What was answered."""

    answer: Annotated[Said | None, Field(description="of an approval")] = None
    payload: Annotated[dict[str, Any] | None, Field(description="of a signal")] = None


class WaitView(View):
    """A wait point."""

    id: str
    kind: WaitKind
    name: Annotated[str, Field(description="who has to approve, or the signal")]
    prompt: Annotated[str, Field(description="what is asked")]
    state: WaitState
    organization: str
    workspace: str
    user: str | None
    job_id: Annotated[str | None, Field(description="the job that is parked for it")]
    run_id: str | None
    default: Annotated[AnswerView | None, Field(description="holds when the deadline passes; null: there is none")]
    answer: Annotated[AnswerView | None, Field(description="null: there is none (yet)")]
    comment: str
    answered_by: Annotated[str | None, Field(description="`system`: its deadline passed")]
    opened_at: AwareDatetime
    deadline: AwareDatetime
    answered_at: AwareDatetime | None


class WaitList(View):
    """Wait points, newest first."""

    waits: list[WaitView]
    next: str | None


def wait_view(wait: Wait) -> dict[str, Any]:
    """As the API shows it."""
    return {
        "id": wait.id,
        "kind": wait.kind,
        "name": wait.name,
        "prompt": wait.prompt,
        "state": wait.state,
        "organization": wait.organization,
        "workspace": wait.workspace,
        "user": wait.user,
        "job_id": wait.job_id,
        "run_id": wait.run_id,
        "default": wait.default,
        "answer": wait.answer,
        "comment": wait.comment,
        "answered_by": wait.answered_by,
        "opened_at": rfc3339(wait.opened_at),
        "deadline": rfc3339(wait.deadline),
        "answered_at": rfc3339(wait.answered_at),
    }
