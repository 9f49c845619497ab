"""What conditions may ask about a job: one table of fields, from which documents, checks and errors are made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from pipelines.tokens import TextSize, prompt_size
from synthralos.domain.findings import PASSED, Decision, Finding, Verdict
from synthralos.domain.jobs import Job
from synthralos.domain.money import Costs

METADATA = "metadata."
"""What the names of fields in a job's metadata begin with; the rest is the member's name, dots included."""


class Kind(StrEnum):
    """What the values of a field are. `any`: whatever JSON the sender gave."""

    TEXT = "text"
    TEXTS = "list of texts"
    NUMBER = "number"
    MONEY = "USD"
    ANY = "any"


def _unknown() -> Costs:
    return Costs(None, None)


@dataclass(eq=False)
class Source:
    """What the fields of a job are read from, each when it is first asked for. `costs` is called at most once.

    `verdict`: the guards'; None where no guard looked.
    """

    job: Job
    verdict: Verdict | None = None
    costs: Callable[[], Costs] = _unknown

    @cached_property
    def size(self) -> TextSize:
        """How large the prompt is."""
        return prompt_size(self.job.request)

    @cached_property
    def cost(self) -> Costs:
        """What an attempt costs."""
        return self.costs()

    @property
    def prompt(self) -> str:
        """The texts of all messages."""
        return "\n".join(self.job.request.texts())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the guards saw."""
        return (self.verdict or PASSED).findings

    def signal(self, guard: str, name: str) -> Any:
        """What a guard measured; None where it found nothing worth telling."""
        return next((f.signals.get(name) for f in self.findings if f.guard == guard), None)


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `index`: it costs nothing to read, so rules are found by its value instead of tried."""

    name: str
    kind: Kind
    description: str
    read: Callable[[Source], Any]
    unit: str = ""
    index: bool = False


def field_named(name: str) -> Field | None:
    """The field of that name; None where there is none."""
    if name.startswith(METADATA) and len(name) > len(METADATA):
        key = name[len(METADATA) :]
        return Field(name, Kind.ANY, "a member of the job's metadata", lambda source: source.job.metadata.get(key))
    found = FIELDS.get(name)
    return None if found is None or found.name == "metadata" else found


def _classification(source: Source) -> str | None:
    given = source.job.constraints.classification
    return None if given is None else given.strip().lower()


def _failed(source: Source) -> list[str]:
    stops = (Decision.FLAG, Decision.DEFER, Decision.DENY)
    return [f.guard for f in source.findings if f.decision in stops and not _broken(f)]


def _broken(finding: Finding) -> bool:
    return "error" in finding.signals or bool(finding.signals.get("broken"))


def _tags(source: Source) -> list[str]:
    tags = source.job.metadata.get("tags")
    if isinstance(tags, str):
        return [tag for each in tags.split(",") if (tag := each.strip())]
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _errored(source: Source) -> list[str]:
    return [f.guard for f in source.findings if _broken(f)]


def _private(source: Source) -> list[str]:
    return sorted({*(source.signal("private_data", "kinds") or ())})


def _best_match(source: Source) -> Any:
    matches = source.signal("similar_prompts", "matches")
    return matches[0]["score"] if matches else None


def _response_format(source: Source) -> Any:
    return (source.job.request.body.get("response_format") or {}).get("type")


def _output_schema(source: Source) -> Any:
    """The name of the schema; a format that names none demands JSON, and no more."""
    named = (source.job.request.body.get("response_format") or {}).get("json_schema") or {}
    return named.get("name") if named.get("schema") is not None else None


_T, _N, _L, _M = Kind.TEXT, Kind.NUMBER, Kind.TEXTS, Kind.MONEY

_ALL = (
    Field("organization", _T, "the organization whose job it is", lambda s: s.job.tenant.organization, index=True),
    Field("workspace", _T, "the workspace whose job it is", lambda s: s.job.tenant.workspace, index=True),
    Field("user", _T, "the user, where the job names one", lambda s: s.job.tenant.user, index=True),
    Field("account_plan", _T, "the organization's account plan", lambda s: s.job.tenant.account_plan, index=True),
    Field("model", _T, "the model as the job names it: `auto`, too", lambda s: s.job.request.model, index=True),
    Field("lane", _T, "`interactive` or `bulk`", lambda s: str(s.job.lane), index=True),
    Field("region", _T, "where the sender demands that it runs", lambda s: s.job.constraints.region, index=True),
    Field("classification", _T, "the class of its data, in lower case", _classification, index=True),
    Field("strategy", _T, "the routing strategy", lambda s: s.job.constraints.strategy, index=True),
    Field("response_format", _T, "the type of the wanted response format", _response_format, index=True),
    Field("output_schema", _T, "the name of the JSON Schema that the answer has to fit", _output_schema, index=True),
    Field("run", _T, "the agent run that the job belongs to", lambda s: s.job.run_id, index=True),
    Field("tags", _L, "the job's tags: `metadata.tags`, a text with commas between them", _tags, index=True),
    Field("prompt", _T, "the texts of all messages, a line end between them", lambda s: s.prompt),
    Field("prompt_characters", _N, "how long all is that a provider gets", lambda s: s.size.characters, "characters"),
    Field("prompt_tokens", _N, "the same, estimated by its bytes", lambda s: s.size.estimate, "tokens"),
    Field("messages", _N, "how many messages there are", lambda s: len(s.job.request.messages), "messages"),
    Field("tools", _N, "how many tools are offered", lambda s: len(s.job.request.body.get("tools") or ()), "tools"),
    Field("max_output_tokens", _N, "the longest answer", lambda s: s.job.request.max_output_tokens, "tokens"),
    Field("max_cost", _M, "the sender's own cap for an attempt", lambda s: s.job.constraints.max_cost, "USD"),
    Field("estimated_cost", _M, "what an attempt is estimated to cost", lambda s: s.cost.estimated, "USD"),
    Field("worst_cost", _M, "what an attempt costs at most", lambda s: s.cost.worst, "USD"),
    Field("abuse_score", _N, "how surely it is abuse; else missing", lambda s: s.signal("abuse", "score"), "0 to 1"),
    Field("abuse_kind", _T, "what the abuse guard took it for", lambda s: s.signal("abuse", "kind")),
    Field("similarity_score", _N, "how like it is to the best match among earlier prompts", _best_match, "0 to 1"),
    Field("repeats", _N, "how often it was asked before", lambda s: s.signal("similar_prompts", "repeats"), "times"),
    Field("private_data", _L, "the kinds of private data found", _private),
    Field("guards_failed", _L, "the guards that flagged, deferred or denied it", _failed, index=True),
    Field("guards_errored", _L, "the guards that could not look at it", _errored, index=True),
    Field("verdict", _T, "what the guards decided", lambda s: str((s.verdict or PASSED).decision), index=True),
    Field("metadata", Kind.ANY, "`metadata.NAME`: a member of the job's metadata", lambda s: s.job.metadata),
)  # fmt: skip

FIELDS: Mapping[str, Field] = {each.name: each for each in _ALL}
"""Every field, by its name."""
