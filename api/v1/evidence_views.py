"""The evidence of a job, as it is answered."""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from api.v1.views import JobId, View
from synthralos.domain.attempts import Billed, Outcome
from synthralos.domain.findings import Decision
from synthralos.domain.states import State


class ClassificationView(View):
    """The class of the job's data."""

    value: str | None
    source: Annotated[str, Field(description="who said so: sender, operator, stackstorm, system; else nobody")]
    required_residency: Annotated[str | None, Field(description="where its data may go; null: it is bound to none")]


class ConclusionView(View):
    """What follows from the calls. `holds` is null where a call was made before evidence was kept."""

    holds: bool | None
    text: Annotated[str, Field(description="the conclusion in one sentence")]
    required_residency: str | None
    calls: Annotated[int, Field(description="provider calls that were made, open and lost ones included")]
    kept: Annotated[int, Field(description="those that kept to what was demanded")]
    broken: Annotated[list[int], Field(description="numbers of those that did not")]
    unknown: Annotated[list[int], Field(description="numbers of those of which nothing was kept")]


class ActView(View):
    """Something that sent the job on its way, or took it off: heal, an operator, StackStorm, the system."""

    kind: Annotated[str, Field(description="healed, retry, reroute, cancel, lost, isolated, buried, released")]
    by: Annotated[str, Field(description="heal, operator, stackstorm or system")]
    actor: str
    at: AwareDatetime | None
    after_calls: Annotated[int | None, Field(description="calls that the job had made by then")]
    reason: str | None
    failure: dict[str, Any] | None
    changes: Annotated[dict[str, Any] | None, Field(description="what a reroute laid over the constraints")]


class SaidView(View):
    """What a guard, or a rule of a policy set, said of the job before the call."""

    guard: str
    decision: Decision
    set_id: str | None
    set_name: str | None
    version: Annotated[int | None, Field(description="of the policy set")]
    rule: str | None
    shadow: Annotated[bool, Field(description="it would have said that, and decided nothing")]


class StepView(View):
    """The place of the deployment in the plan, from 1, and the plan's reason for it."""

    number: int
    reason: str


class GroundsView(View):
    """What a call was made under."""

    plan_key: Annotated[str, Field(description="of the plan that led there; see `plans`")]
    step: StepView | None
    config_version: Annotated[int, Field(description="changes of the configuration that were in force")]
    classification: str | None
    required_residency: str | None
    region: Annotated[str | None, Field(description="the region that was demanded")]
    zero_retention: Annotated[bool, Field(description="whether it was demanded")]
    decision: Annotated[Decision, Field(description="the verdict of the guards")]
    said: list[SaidView]
    demands: Annotated[dict[str, Any] | None, Field(description="what policies demanded; null: nothing")]
    flags: dict[str, bool]


class CallView(View):
    """One provider call. Region, residency and retention are as the catalog declared them when it was made."""

    attempt_no: int
    deployment: str
    provider: str
    model: str
    region: str
    residency: str | None
    zero_retention: bool | None
    outcome: Outcome
    billed: Billed
    late: Annotated[bool, Field(description="its end was learned after the job had been taken away")]
    provider_request_id: str | None
    started_at: AwareDatetime
    ended_at: AwareDatetime | None
    kept: Annotated[bool | None, Field(description="to all that was demanded; null: nothing is known of it")]
    broken: Annotated[list[str], Field(description="what it did not keep to")]
    because: Annotated[ActView | None, Field(description="what sent the job on to it; null: it is the first way")]
    grounds: GroundsView | None


class ExportView(View):
    """A destination of exports that does not have the job's trace as it is now."""

    destination: str
    state: Annotated[str, Field(description="owed; withheld: its data may not go there; refused by the destination")]
    reason: str | None
    at: AwareDatetime | None


class EvidenceView(View):
    """Why a job's calls went where they went, from what was kept when they were made."""

    job_id: JobId
    state: State
    classification: ClassificationView
    conclusion: ConclusionView
    calls: list[CallView]
    acts: list[ActView]
    plans: Annotated[list[dict[str, Any]], Field(description="the plans that led to calls, by `key`")]
    plan: Annotated[dict[str, Any] | None, Field(description="the plan that the job has now")]
    verdict: Annotated[dict[str, Any] | None, Field(description="what guards and policies said last, in full")]
    exports: Annotated[list[ExportView], Field(description="where its trace is owed, or withheld from, and why")]
