"""What is changed while everything runs, and who changed it: `Client.configuration`, `AsyncClient.configuration`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from synthralos_client.models import Json
from synthralos_client.paging import async_pages, pages
from synthralos_client.policies import AsyncPolicySets, PolicySets

if TYPE_CHECKING:
    from typing_extensions import Unpack

AccountPlan = Literal["free", "pro", "enterprise"]


class Rate(TypedDict):
    """So many requests or tokens a window: a bucket of that size, which refills evenly within the window."""

    per: Literal["organization", "workspace", "user"]
    unit: Literal["requests", "tokens"]
    window: Literal["second", "minute", "hour", "day"]
    limit: int


class Limits(TypedDict, total=False):
    """What an account plan, or an organization, allows. `max_wait_seconds`: so long a job waits for its rates.

    `weight` (1 to 1,000): the share, in tokens, beside others whose bulk jobs wait. `workspace_weights`: those of an
    organization's workspaces in that share; one that is not named has 1.
    """

    prompt_characters: int
    prompt_tokens: int
    max_wait_seconds: float
    rates: Sequence[Rate]
    weight: int
    workspace_weights: Mapping[str, int]


class RetentionDays(TypedDict, total=False):
    """How long what of an organization is kept, in days; docs/retention.md explains each kind."""

    payloads: float
    jobs: float
    dead_letters: float
    accounts: float
    similarity: float
    events: float
    happenings: float


class AuditFilters(TypedDict, total=False):
    """Which changes to list. `subject` may end in `*`."""

    actor: str
    act: str
    subject: str
    organization: str
    since: datetime | str
    until: datetime | str


class Configuration(PolicySets):
    """Flags, limits, deployments and the audit log. The answers are the server's JSON objects."""

    def flags(self, *, organization: str | None = None) -> list[Json]:
        """All feature flags; with an `organization`, `has` says whether that one has each."""
        found: list[Json] = self._read(("flags",), organization=organization)["flags"]
        return found

    def set_flag(self, name: str, *, enabled: bool, percentage: int = 100, reason: str = "") -> Json:
        """Have a flag on or off, for all organizations or for a share of them."""
        body = {"enabled": enabled, "percentage": percentage, "reason": reason}
        return self._put(("flags", name), body)

    def reset_flag(self, name: str, *, reason: str | None = None) -> Json:
        """Set a flag back to its default."""
        return self._remove(("flags", name), reason)

    def limits(self) -> list[Json]:
        """What each account plan allows."""
        found: list[Json] = self._read(("limits",))["limits"]
        return found

    def set_limits(self, plan: AccountPlan, *, reason: str = "", **limits: Unpack[Limits]) -> Json:
        """Set a plan's limits; one that is left out is at its default."""
        return self._put(("limits", plan), {"reason": reason, **limits})

    def reset_limits(self, plan: AccountPlan, *, reason: str | None = None) -> Json:
        """Set a plan's limits back to their default."""
        return self._remove(("limits", plan), reason)

    def organization_limits(self, organization: str) -> Json:
        """What an organization may do: its own limits, and its plan's where it has none."""
        return self._read(("organizations", organization, "limits"))

    def set_organization_limits(self, organization: str, *, reason: str = "", **limits: Unpack[Limits]) -> Json:
        """Give an organization limits of its own; one that is left out is its plan's."""
        return self._put(("organizations", organization, "limits"), {"reason": reason, **limits})

    def reset_organization_limits(self, organization: str, *, reason: str | None = None) -> Json:
        """Have an organization's plan decide again."""
        return self._remove(("organizations", organization, "limits"), reason)

    def retention(self, organization: str) -> Json:
        """How long what of an organization is kept: its own times, and the installation's where it has none."""
        return self._read(("organizations", organization, "retention"))

    def set_retention(self, organization: str, *, reason: str = "", **days: Unpack[RetentionDays]) -> Json:
        """Give an organization times of its own; one that is left out is the installation's."""
        return self._put(("organizations", organization, "retention"), {"reason": reason, **days})

    def reset_retention(self, organization: str, *, reason: str | None = None) -> Json:
        """Have the installation's times hold for an organization again."""
        return self._remove(("organizations", organization, "retention"), reason)

    def deployments(self) -> list[Json]:
        """The catalog that is in force."""
        found: list[Json] = self._read(("deployments",))["deployments"]
        return found

    def deployment(self, deployment_id: str) -> Json:
        """One deployment of the catalog that is in force, with its `version`."""
        return self._read(("deployments", deployment_id))

    def set_deployment(
        self, deployment_id: str, entry: Mapping[str, Any], *, reason: str | None = None, version: int | None = None
    ) -> Json:
        """Add a deployment, or have an entry in place of the catalog file's; `warnings` tell what it leaves open.

        With a `version` (0: there is none) only where it is still at that one; else it is an `ApiError` of status 412.
        """
        return self._put(("deployments", deployment_id), entry, reason, version)

    def remove_deployment(
        self, deployment_id: str, *, reason: str | None = None, version: int | None = None
    ) -> list[Json]:
        """Remove an entry; the catalog afterwards."""
        found: list[Json] = self._remove(("deployments", deployment_id), reason, version)["deployments"]
        return found

    def aliases(self) -> list[Json]:
        """The aliases that are in force, those of the catalog file and those of the database."""
        found: list[Json] = self._read(("aliases",))["aliases"]
        return found

    def alias(self, name: str) -> Json:
        """One alias, with its `version`."""
        return self._read(("aliases", name))

    def set_alias(self, name: str, targets: Sequence[str], *, reason: str = "", version: int | None = None) -> Json:
        """Have a name stand for models, deployments, tiers (`tier:economy`) or other aliases."""
        return self._put(("aliases", name), {"targets": list(targets), "reason": reason}, version=version)

    def remove_alias(self, name: str, *, reason: str | None = None, version: int | None = None) -> list[Json]:
        """Remove an alias that was set; the aliases afterwards."""
        found: list[Json] = self._remove(("aliases", name), reason, version)["aliases"]
        return found

    def audit(self, *, page_size: int = 200, **filters: Unpack[AuditFilters]) -> Iterator[Json]:
        """Changes by people and programs that fit the filters, newest first, page by page."""
        return pages(lambda cursor: self._read(("audit",), **filters, limit=page_size, cursor=cursor), "changes")


class AsyncConfiguration(AsyncPolicySets):
    """`Configuration` documents the methods, which are the same."""

    async def flags(self, *, organization: str | None = None) -> list[Json]:
        """See `Configuration.flags`."""
        found: list[Json] = (await self._read(("flags",), organization=organization))["flags"]
        return found

    async def set_flag(self, name: str, *, enabled: bool, percentage: int = 100, reason: str = "") -> Json:
        """See `Configuration.set_flag`."""
        body = {"enabled": enabled, "percentage": percentage, "reason": reason}
        return await self._put(("flags", name), body)

    async def reset_flag(self, name: str, *, reason: str | None = None) -> Json:
        """See `Configuration.reset_flag`."""
        return await self._remove(("flags", name), reason)

    async def limits(self) -> list[Json]:
        """See `Configuration.limits`."""
        found: list[Json] = (await self._read(("limits",)))["limits"]
        return found

    async def set_limits(self, plan: AccountPlan, *, reason: str = "", **limits: Unpack[Limits]) -> Json:
        """See `Configuration.set_limits`."""
        return await self._put(("limits", plan), {"reason": reason, **limits})

    async def reset_limits(self, plan: AccountPlan, *, reason: str | None = None) -> Json:
        """See `Configuration.reset_limits`."""
        return await self._remove(("limits", plan), reason)

    async def organization_limits(self, organization: str) -> Json:
        """See `Configuration.organization_limits`."""
        return await self._read(("organizations", organization, "limits"))

    async def set_organization_limits(self, organization: str, *, reason: str = "", **limits: Unpack[Limits]) -> Json:
        """See `Configuration.set_organization_limits`."""
        return await self._put(("organizations", organization, "limits"), {"reason": reason, **limits})

    async def reset_organization_limits(self, organization: str, *, reason: str | None = None) -> Json:
        """See `Configuration.reset_organization_limits`."""
        return await self._remove(("organizations", organization, "limits"), reason)

    async def retention(self, organization: str) -> Json:
        """See `Configuration.retention`."""
        return await self._read(("organizations", organization, "retention"))

    async def set_retention(self, organization: str, *, reason: str = "", **days: Unpack[RetentionDays]) -> Json:
        """See `Configuration.set_retention`."""
        return await self._put(("organizations", organization, "retention"), {"reason": reason, **days})

    async def reset_retention(self, organization: str, *, reason: str | None = None) -> Json:
        """See `Configuration.reset_retention`."""
        return await self._remove(("organizations", organization, "retention"), reason)

    async def deployments(self) -> list[Json]:
        """See `Configuration.deployments`."""
        found: list[Json] = (await self._read(("deployments",)))["deployments"]
        return found

    async def deployment(self, deployment_id: str) -> Json:
        """See `Configuration.deployment`."""
        return await self._read(("deployments", deployment_id))

    async def set_deployment(
        self, deployment_id: str, entry: Mapping[str, Any], *, reason: str | None = None, version: int | None = None
    ) -> Json:
        """See `Configuration.set_deployment`."""
        return await self._put(("deployments", deployment_id), entry, reason, version)

    async def remove_deployment(
        self, deployment_id: str, *, reason: str | None = None, version: int | None = None
    ) -> list[Json]:
        """See `Configuration.remove_deployment`."""
        found: list[Json] = (await self._remove(("deployments", deployment_id), reason, version))["deployments"]
        return found

    async def aliases(self) -> list[Json]:
        """See `Configuration.aliases`."""
        found: list[Json] = (await self._read(("aliases",)))["aliases"]
        return found

    async def alias(self, name: str) -> Json:
        """See `Configuration.alias`."""
        return await self._read(("aliases", name))

    async def set_alias(
        self, name: str, targets: Sequence[str], *, reason: str = "", version: int | None = None
    ) -> Json:
        """See `Configuration.set_alias`."""
        return await self._put(("aliases", name), {"targets": list(targets), "reason": reason}, version=version)

    async def remove_alias(self, name: str, *, reason: str | None = None, version: int | None = None) -> list[Json]:
        """See `Configuration.remove_alias`."""
        found: list[Json] = (await self._remove(("aliases", name), reason, version))["aliases"]
        return found

    def audit(self, *, page_size: int = 200, **filters: Unpack[AuditFilters]) -> AsyncIterator[Json]:
        """See `Configuration.audit`."""
        return async_pages(lambda cursor: self._read(("audit",), **filters, limit=page_size, cursor=cursor), "changes")
