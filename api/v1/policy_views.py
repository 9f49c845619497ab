"""What is sent and answered about policy sets."""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field, JsonValue

from api.v1.views import View
from pipelines.intake.schema import Closed, Name, Reason, Time

Rule = dict[str, JsonValue]


class PolicyIn(Closed):
    """A policy set. `docs/policies.md` explains conditions and actions."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    rules: Annotated[list[Rule], Field(min_length=1, max_length=1_000, description="id, when, then, on_error, enabled")]
    priority: Annotated[int, Field(description="of sets of one scope, the higher one comes first")] = 0
    enabled: bool = True
    shadow: Annotated[bool, Field(description="evaluated and reported, never enforced")] = False
    share: Annotated[float, Field(ge=0, le=100, description="percentage of the organizations that have it")] = 100.0
    effective_from: Annotated[Time | None, Field(description="it holds from then on")] = None
    effective_until: Annotated[Time | None, Field(description="it holds until before then")] = None
    organization: Annotated[Name | None, Field(description="for this one alone; only where the set is made")] = None
    workspace: Annotated[Name | None, Field(description="for this one alone; only where the set is made")] = None
    reason: Reason = ""


class RollbackIn(Closed):
    """Which version to have again, as a new one."""

    version: Annotated[int, Field(ge=1)]
    reason: Reason = ""


class EvaluateIn(Closed):
    """What to try: a recorded job or stated facts, on the policies in force or on a draft."""

    job_id: Annotated[str | None, Field(description="a recorded job: its facts count")] = None
    facts: Annotated[
        dict[str, JsonValue],
        Field(default_factory=dict, description="values of fields by name; they win over the job's"),
    ]
    draft: Annotated[dict[str, JsonValue] | None, Field(description="a policy set, tried alone")] = None


class PolicyView(View):
    """A policy set at its present version."""

    id: str
    name: str
    version: int
    organization: str | None
    workspace: str | None
    priority: int
    enabled: bool
    shadow: bool
    share: float
    effective_from: AwareDatetime | None
    effective_until: AwareDatetime | None
    rules: list[Rule]


class PolicyList(View):
    """Policy sets."""

    policies: list[PolicyView]


class PolicyVersionView(View):
    """One version. `policy` is null where the set was removed."""

    version: int
    policy: PolicyView | None
    changed_at: AwareDatetime
    changed_by: str
    reason: str


class PolicyVersionList(View):
    """All versions that there were, newest first."""

    versions: list[PolicyVersionView]


class RuleReport(View):
    """One rule: whether it matched, and what was seen."""

    set_id: str
    set_name: str
    version: int
    shadow: bool
    effective: bool
    rule: str
    matched: bool
    error: str | None
    condition: dict[str, Any] | None


class EvaluationView(View):
    """What the policies decide, and why."""

    decision: str
    reason: str
    ruling: dict[str, Any]
    rules: list[RuleReport]
