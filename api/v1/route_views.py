"""Where a job would go, as it is asked and answered."""

from typing import Annotated, Any

from pydantic import Field, JsonValue

from api.v1.route_knowledge import HeldUpView, KnowledgeView
from api.v1.views import FailureView, Usd, View
from pipelines.intake.closed import Closed
from pipelines.intake.schema import JobIn
from synthralos.domain.findings import Decision


class TriedPolicies(Closed):
    """A draft of a policy set, which counts as enforced beside the sets that are in force."""

    draft: Annotated[dict[str, JsonValue], Field(description="a policy set")]
    policy_id: Annotated[str | None, Field(description="the stored set in whose place the draft is tried")] = None


class ExplainIn(JobIn):
    """A job as `POST /api/v1/jobs` takes it, and policies to try."""

    policies: TriedPolicies | None = None


class PromptCacheView(View):
    """Why jobs that begin alike go to a deployment first."""

    prefix_tokens: Annotated[int, Field(description="about what they have in common")]
    read: Annotated[
        bool,
        Field(description="the cost counts with the cached price; else it is drawn among those that cost the same"),
    ]


class StepView(View):
    """A deployment that would be tried, in this order."""

    deployment: str
    reason: str
    estimated_cost_usd: Annotated[Usd | None, Field(description="of one call; null: its price is unknown")]
    service_tier: Annotated[str, Field(description="the provider's tier that would be asked for")]
    prompt_cache: Annotated[PromptCacheView | None, Field(description="null: it has nothing to do with the place")]
    held_up: Annotated[HeldUpView | None, Field(description="null: no breaker and no quota keeps it from being called")]


class RuleName(View):
    """A rule of a policy set, at the version that is in force; a draft has the version 0."""

    set_id: str
    set_name: str
    version: int
    rule: str


class ExclusionView(View):
    """A deployment that would not be tried."""

    deployment: str
    rule: Annotated[str, Field(description="what keeps it away, as a code: the table of docs/routing.md")]
    details: Annotated[dict[str, Any], Field(description="what the rule compared, such as needed_tokens, limit_tokens")]
    reason: Annotated[str, Field(description="the rule and its details as a sentence")]
    rules: Annotated[
        list[RuleName],
        Field(description="rules of policies that keep it away; without them it would be tried, or kept by another"),
    ]


class MatchView(RuleName):
    """A rule that matched, with what it says and demands."""

    shadow: Annotated[bool, Field(description="its set decides nothing: what it would decide")]
    decision: Decision
    reason: str
    actions: list[str]
    demands: Annotated[dict[str, Any], Field(description="what it demands of the way the job is done")]
    error: Annotated[str | None, Field(description="why it could not be asked")]


class AskedRule(RuleName):
    """A rule that is meant for the job: whether it matched, and what it saw."""

    shadow: bool
    effective: bool
    matched: bool
    error: str | None
    condition: dict[str, Any] | None


class PolicyExplanation(View):
    """What policies say of the job. Guards are not asked: rules on their scores and findings see none."""

    asked: Annotated[bool, Field(description="whether policies are asked for the organization (enable_policy_engine)")]
    decision: Annotated[Decision, Field(description="deny and defer: it would not get so far as to be routed now")]
    reason: str
    demands: Annotated[dict[str, Any], Field(description="what all of them demand together")]
    matched: list[MatchView]
    rules: Annotated[
        list[AskedRule] | None,
        Field(description="each rule that is meant for it; null: the key may not read policies"),
    ]


class RouteView(View):
    """Where a job would go. Every deployment of the catalog is there once: as a step, or as an exclusion."""

    account_plan: Annotated[str, Field(description="of the job's organization")]
    strategy: Annotated[str | None, Field(description="what ordered the steps; null: there are none")]
    prompt_tokens: Annotated[int, Field(description="what the estimates count with; exact where a window is near")]
    output_tokens: Annotated[int, Field(description="what the estimates count with")]
    steps: list[StepView]
    first_call: Annotated[str | None, Field(description="the first step that is not held up; null: there is none")]
    exclusions: list[ExclusionView]
    policies: PolicyExplanation
    failure: Annotated[FailureView | None, Field(description="what the job would fail with, where it may go nowhere")]
    knowledge: KnowledgeView
