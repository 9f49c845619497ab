"""What is sent and answered about policy sets."""

from typing import Annotated, Any

from pydantic import AwareDatetime, Field, JsonValue

from api.v1.views import View
from pipelines.intake.closed import Closed
from pipelines.intake.schema import Name, Reason, Time
from pipelines.policies.lint import Kind

Rule = dict[str, JsonValue]


Force = Annotated[bool, Field(description="publish it in spite of severe warnings; that goes on record")]


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
    force: Force = False


class LintIn(Closed):
    """A policy set to be looked at; with `policy_id`, in the place of that one."""

    draft: Annotated[dict[str, JsonValue], Field(description="a policy set")]
    policy_id: str | None = None


class RollbackIn(Closed):
    """Which version to have again, as a new one."""

    version: Annotated[int, Field(ge=1)]
    reason: Reason = ""
    force: Force = False


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


class WarningView(View):
    """What may not be meant. `path` leads to the place; a `severe` one is refused unless that is forced."""

    kind: Kind
    path: str
    problem: str
    remedy: str
    rule: str | None
    severe: bool


class PublishedView(PolicyView):
    """A policy set as it was published, and what is said about it."""

    warnings: list[WarningView]


class LintView(View):
    """What is said about a policy set that nobody has stored; `publishable`: without force."""

    warnings: list[WarningView]
    publishable: bool


class RuleCoverageView(View):
    """How many jobs a rule has matched; `idle`: none for 30 days, and it has been there for as long."""

    rule: str
    matches: int
    last_matched_at: AwareDatetime | None
    since: Annotated[AwareDatetime, Field(description="of the first version that has the rule")]
    idle: bool


class CoverageView(View):
    """The rules of the present version, in their order. Matches are counted by workers, and told after seconds."""

    rules: list[RuleCoverageView]


class ChangeView(View):
    """One difference; a side that has nothing there lacks its member."""

    path: str
    before: JsonValue = None
    after: JsonValue = None


class PlacedRule(View):
    """A rule that one of the versions has alone."""

    rule: str
    document: Rule


class AddedRule(PlacedRule):
    """`to`: its place among the rules."""

    to: int


class RemovedRule(PlacedRule):
    """`from`: where it was."""

    from_: Annotated[int, Field(alias="from")]


class MovedRule(View):
    """A rule that stands elsewhere."""

    rule: str
    from_: Annotated[int, Field(alias="from")]
    to: int


class ChangedRule(View):
    """A rule that says something else."""

    rule: str
    changes: list[ChangeView]


class DifferenceView(View):
    """What another version has differently."""

    version: int
    with_: Annotated[int, Field(alias="with")]
    members: list[ChangeView]
    added: list[AddedRule]
    removed: list[RemovedRule]
    moved: list[MovedRule]
    changed: list[ChangedRule]


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
