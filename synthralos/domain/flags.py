"""Feature flags: switches that operators flip while everything runs, for all organizations or for a share of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple


class Flag(StrEnum):
    """A switch, by the name that the API, the command line and the environment (in capitals) know."""

    TRACK_MODEL_COSTS = "track_model_costs"
    ENABLE_SIMILARITY_LOGGING = "enable_similarity_logging"
    ENABLE_LANGFUSE_EXPORT = "enable_langfuse_export"
    ENABLE_ASYNC_TRACE_EXPORT = "enable_async_trace_export"
    ENABLE_ARCHGW_ROUTING = "enable_archgw_routing"
    ENABLE_POLICY_ENGINE = "enable_policy_engine"
    ENABLE_RATE_LIMITING = "enable_rate_limiting"
    ENABLE_GUARDRAILS_AI = "enable_guardrails_ai"
    ENABLE_STACKSTORM = "enable_stackstorm"
    ENABLE_STACKSTORM_RETRY = "enable_stackstorm_retry"
    ENABLE_STACKSTORM_REROUTE = "enable_stackstorm_reroute"
    ENABLE_STACKSTORM_REPAIR_EXECUTION = "enable_stackstorm_repair_execution"
    ENABLE_CRON_BACKOFF = "enable_cron_backoff"
    ENABLE_COALESCING = "enable_coalescing"
    ENABLE_MONITOR = "enable_monitor"


@dataclass(frozen=True, slots=True)
class FlagFacts:
    """What a flag is by default, what it does, and what happens where it is off.

    `waits_for`: the feature that it will switch; None where it acts today.
    """

    default: bool
    on: str
    off: str
    waits_for: str | None = None


FLAGS: Mapping[Flag, FlagFacts] = {
    Flag.TRACK_MODEL_COSTS: FlagFacts(
        True,
        "every attempt is priced when it ends",
        "attempts and tokens are recorded, money is not computed: costs are unknown, never 0",
    ),
    Flag.ENABLE_ARCHGW_ROUTING: FlagFacts(
        True,
        "the unified routing service plans by the job's strategy, price first by default",
        "the deployments of the requested model in the catalog's order, without ranking; "
        "what may not be used (region, residency, plan, window, cost cap) stays excluded",
    ),
    Flag.ENABLE_ASYNC_TRACE_EXPORT: FlagFacts(
        True,
        "traces of finished jobs are handed to the exporters, beside the jobs' way",
        "jobs that finish meanwhile are not exported; what was owed before is",
    ),
    Flag.ENABLE_LANGFUSE_EXPORT: FlagFacts(
        True,
        "traces go to Langfuse, where LANGFUSE_HOST says where that is",
        "no trace goes to Langfuse: what is owed meanwhile is taken off",
    ),
    Flag.ENABLE_SIMILARITY_LOGGING: FlagFacts(
        True,
        "prompts are compared with earlier ones of their workspace, and logged",
        "no prompt is compared or remembered, and no result is reused",
    ),
    Flag.ENABLE_POLICY_ENGINE: FlagFacts(
        True,
        "policy sets decide between guard and route",
        "no policy is asked, and none of their demands is made of new jobs",
    ),
    Flag.ENABLE_RATE_LIMITING: FlagFacts(
        True,
        "jobs over a rate limit wait until there is room, or are denied where they ask for that",
        "no rate is limited, and nothing is counted",
    ),
    Flag.ENABLE_GUARDRAILS_AI: FlagFacts(
        True,
        "guardrails-ai validates prompts and answers where GUARDRAILS_URL says where it is",
        "it is shown nothing",
    ),
    Flag.ENABLE_STACKSTORM: FlagFacts(
        False, "StackStorm is asked for repairs, and told what happens", "nothing is asked of StackStorm, nor told it"
    ),
    Flag.ENABLE_STACKSTORM_RETRY: FlagFacts(
        True, "StackStorm may be asked to retry jobs and recover runs", "the built-in remedies retry"
    ),
    Flag.ENABLE_STACKSTORM_REROUTE: FlagFacts(
        True, "StackStorm may be asked to reroute jobs", "the built-in remedies reroute"
    ),
    Flag.ENABLE_STACKSTORM_REPAIR_EXECUTION: FlagFacts(
        True,
        "StackStorm executes the repairs that heal asks for",
        "repairs of jobs that fail are proposed only; an operator may ask for them",
    ),
    Flag.ENABLE_CRON_BACKOFF: FlagFacts(
        True, "a schedule that fails is delayed, longer with each failure", "it runs as planned"
    ),
    Flag.ENABLE_COALESCING: FlagFacts(
        True,
        "embeddings of one workspace share calls, and equal chats in flight an answer, as their senders allow",
        "every job makes a call of its own",
    ),
    Flag.ENABLE_MONITOR: FlagFacts(
        True,
        "the leading scheduler watches calls and queues, opens incidents and repairs what it can",
        "nothing is watched and nothing repaired; incidents that are open stay as they are",
    ),
}
"""Every flag."""

EVERYBODY = 100
"""Percent: the flag is on for all organizations."""


class FlagState(NamedTuple):
    """What operators set: on or off, and for which share of the organizations it is on, in percent (0 to 100)."""

    enabled: bool
    percentage: int = EVERYBODY


class Flags:
    """All flags as they stand. Immutable.

    Who is in the share of a flag is decided by a hash of flag and organization: the same everywhere and at any time,
    each flag in an order of its own, and a larger share keeps everybody whom the smaller one had.
    """

    def __init__(
        self, states: Mapping[Flag, FlagState] | None = None, overrides: Mapping[Flag, bool] | None = None
    ) -> None:
        """`states`: what the database says of flags that are not at their default. `overrides` win over it."""
        self._states = dict(states or {})
        self._overrides = dict(overrides or {})
        self._everywhere = {flag: self._of_all(flag) for flag in Flag}
        self._members: dict[tuple[Flag, str], bool] = {}

    def on(self, flag: Flag, organization: str) -> bool:
        """Whether the flag is on for the organization."""
        everywhere = self._everywhere[flag]
        if everywhere is not None:
            return everywhere
        known = self._members.get((flag, organization))
        if known is None:
            known = self._members[flag, organization] = place(flag, organization) < self._states[flag].percentage
        return known

    def anywhere(self, flag: Flag) -> bool:
        """Whether the flag is on for anybody: then what concerns the installation goes by it."""
        return self._everywhere[flag] is not False

    def state(self, flag: Flag) -> FlagState:
        """What holds for the flag."""
        override = self._overrides.get(flag)
        if override is not None:
            return FlagState(override)
        return self._states.get(flag) or FlagState(FLAGS[flag].default)

    def view(self, flag: Flag, organization: str | None, *, stored: bool) -> dict[str, Any]:
        """The flag as people see it, as plain values. `stored`: the database says something of it.

        `has`: whether the organization has the flag, where one is named.
        """
        state, facts = self.state(flag), FLAGS[flag]
        return {
            "name": str(flag),
            **state._asdict(),
            "default": facts.default,
            "source": "environment" if flag in self._overrides else "database" if stored else "default",
            "on": facts.on,
            "off": facts.off,
            "waits_for": facts.waits_for,
            "has": None if organization is None else self.on(flag, organization),
        }

    def _of_all(self, flag: Flag) -> bool | None:
        """What the flag is for every organization; None where it is on for a share of them."""
        enabled, percentage = self.state(flag)
        if not enabled or percentage <= 0:
            return False
        return True if percentage >= EVERYBODY else None


def place(name: str, organization: str) -> float:
    """Where the organization stands in the order of the flag, or of what else is staged by shares, in percent.

    0 to below 100.
    """
    digest = sha256(f"{name}\0{organization}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * 100
