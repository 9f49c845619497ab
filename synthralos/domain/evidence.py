"""Evidence: what each provider call of a job was made under, and whether it kept to that.

Grounds are kept with the call, under the same key as its deployment's entry and price: jobs that are alike share them,
so a job writes nothing more for having evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from synthralos.domain.findings import Decision, Finding, Verdict
from synthralos.domain.flags import Flag
from synthralos.domain.overlays import NO_DEMANDS, Overlay
from synthralos.domain.residency import kept_from

FLAGS_THAT_MATTER = (Flag.ENABLE_ARCHGW_ROUTING, Flag.ENABLE_POLICY_ENGINE, Flag.ENABLE_GUARDRAILS_AI)
"""Flags that decide where a call goes, and what it is held against."""


class Said(NamedTuple):
    """What one guard, or one rule of a policy set, said. `shadow`: it would have said that, and decided nothing."""

    guard: str
    decision: Decision
    set_id: str | None = None
    set_name: str | None = None
    version: int | None = None
    rule: str | None = None
    shadow: bool = False

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {**self._asdict(), "decision": str(self.decision)}


@dataclass(frozen=True, slots=True, eq=False)
class Grounds:
    """What a call was made under: compared by identity, because those that are alike are made once.

    `plan_key` names the routing plan. `config_version` counts the changes of the configuration that was in force.
    `classification`, `region` and `zero_retention` are what the job demanded. `said` is what guards and policies had to
    say, `demands` what policies demanded. `flags`: whether each of `FLAGS_THAT_MATTER` was on for its organization.
    """

    plan_key: str
    config_version: int
    classification: str | None = None
    region: str | None = None
    zero_retention: bool = False
    decision: Decision = Decision.ALLOW
    said: tuple[Said, ...] = ()
    demands: Overlay = NO_DEMANDS
    flags: tuple[bool, ...] = (True,) * len(FLAGS_THAT_MATTER)

    def to_json(self) -> dict[str, Any]:
        """The stored and published form."""
        return {
            "plan_key": self.plan_key,
            "config_version": self.config_version,
            "classification": self.classification,
            "region": self.region,
            "zero_retention": self.zero_retention,
            "decision": str(self.decision),
            "said": [each.to_json() for each in self.said],
            "demands": None if self.demands is NO_DEMANDS else self.demands.to_json(),
            "flags": {str(flag): on for flag, on in zip(FLAGS_THAT_MATTER, self.flags, strict=True)},
        }


def said_in(verdict: Verdict) -> tuple[Said, ...]:
    """What guards and policies had to say, without what they measured: that is in the verdict."""
    return tuple(_said(finding) for finding in verdict.findings)


def _said(finding: Finding) -> Said:
    signals = finding.signals
    if "rule" not in signals or "set" not in signals:
        return Said(finding.guard, finding.decision)
    shadow = signals.get("shadow")
    return Said(
        finding.guard,
        finding.decision if shadow is None else Decision(shadow),
        signals["set"],
        signals.get("name"),
        signals.get("version"),
        signals["rule"],
        shadow is not None,
    )


class Declared(NamedTuple):
    """What the catalog declared of a deployment when it was called."""

    region: str
    residency: str | None
    zero_retention: bool


def broken(grounds: Mapping[str, Any], declared: Declared) -> list[str]:
    """What a call was bound to (`Grounds.to_json`) and did not keep to; empty where it kept to everything."""
    found = []
    if (kept := kept_from(grounds["classification"], declared.residency)) is not None:
        found.append(kept)
    if grounds["zero_retention"] and not declared.zero_retention:
        found.append("zero_retention was demanded, and this deployment did not declare it")
    if grounds["region"] not in (None, declared.region):
        found.append(f"the region {grounds['region']} was demanded, and this deployment is in {declared.region}")
    regions = (grounds["demands"] or {}).get("regions")
    if regions is not None and not {declared.region, declared.residency} & set(regions):
        found.append(f"policies demanded the regions {', '.join(regions)}")
    return found


@dataclass(frozen=True, slots=True)
class EvidenceRows:
    """All there is, as rows by column: `calls` by number, `events` oldest first, `plans` by key.

    A call has the columns of `all_attempts`, and `residency`, `zero_retention` and `grounds` of its entry. `handed_in`
    are the constraints that the job came with.
    """

    handed_in: Mapping[str, Any]
    calls: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]
    plans: Mapping[str, Mapping[str, Any]]
