"""Makes configurations: of the settings, the environment, the catalog file, and what the database holds."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synthralos.config.abuse_patterns import read_patterns
from synthralos.config.catalog import CatalogFile, CheckDeployment, Entry
from synthralos.config.config import Config, GuardActions, RepairTerms
from synthralos.config.credentials import Credentials
from synthralos.config.key_sources import Key, KeySources
from synthralos.config.quality import read_quality
from synthralos.config.settings import Settings, SettingsError
from synthralos.domain.aliases import AliasError, Aliases, alias_errors
from synthralos.domain.budgets import Budgets
from synthralos.domain.deployments import Catalog, Deployment, names_of
from synthralos.domain.flags import FLAGS, Flags
from synthralos.domain.limits import DEFAULT_LIMITS, DEFAULT_PLAN, PlanLimits
from synthralos.domain.retention import Retention, own_days
from synthralos.store.admin.configuration import Names, Set, Stored
from synthralos.telemetry.logs import hide

log = logging.getLogger(__name__)


class ConfigMaker:
    """Reads keys, abuse patterns and the quality table; what cannot be used of the database is left out, and logged."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], check: CheckDeployment) -> None:
        """Raises `SettingsError`."""
        self._settings, self._check = settings, check
        self._sources = KeySources(settings, environ)
        self._keys: dict[str, Key] | None = None
        self._patterns = read_patterns(settings.abuse_patterns)
        self._quality = read_quality(settings.quality_table)

    def keys_changed(self) -> bool:
        """Whether keys are to be read again."""
        return self._sources.changed()

    def make(self, file: CatalogFile, stored: Stored) -> Config:
        """Raises `CatalogError` and `SettingsError`."""
        for deployment in file.deployments.values():
            self._check(deployment)
        aliases = merged(file, {name: found.value for name, found in stored.aliases.items()})
        catalog = self._catalog(file, stored, aliases)
        credentials = Credentials(self._read_keys(catalog), catalog, self._settings.sandbox)
        states = {flag: stored.flags[flag].value for flag in FLAGS if flag in stored.flags}
        return Config(
            catalog,
            credentials,
            Flags(states, self._settings.flag_overrides),
            _limits(stored),
            stored.version,
            _usable(stored.own_limits),
            _guard_actions(self._settings),
            self._patterns,
            self._quality,
            stored.policies,
            aliases,
            Budgets(stored.budgets),
            {caps.key: caps for caps in stored.run_caps},
            repair_terms(self._settings),
            Retention(self._settings.retention_days, {n: own_days(each.value) for n, each in stored.retention.items()}),
        )

    def deployment(self, file: CatalogFile, deployment_id: str, entry: Entry) -> Deployment:
        """The deployment that an entry of the database would be; raises `CatalogError` for one that is wrong."""
        deployment = file.deployment(deployment_id, entry)
        self._check(deployment)
        return deployment

    def wrong_names(self, file: CatalogFile, held: Names, first: str = "") -> list[AliasError]:
        """What is wrong with the aliases of the file and those that the database holds, those of `first` before all."""
        found = merged(file, held.aliases)
        ordered = {name: found[name] for name in sorted(found, key=lambda name: name != first)}
        catalog, _ = file.with_entries(held.deployments, self._check, ordered)
        return list(_alias_errors(catalog, ordered))

    def _catalog(self, file: CatalogFile, stored: Stored, aliases: Aliases) -> Catalog:
        entries = {name: found.value for name, found in stored.deployments.items()}
        catalog, wrong = file.with_entries(entries, self._check, aliases)
        for error in wrong:
            log.error("an entry of the database is left out of the catalog: %s", error)
        for alias in _alias_errors(catalog, aliases):
            log.error("an alias cannot be followed: %s", alias)
        return catalog

    def _read_keys(self, catalog: Catalog) -> dict[str, Key]:
        """Raises `SettingsError` for the first keys; for later ones the last go on. From now on logs hide them."""
        try:
            keys = self._sources.read(catalog)
        except SettingsError as error:
            if self._keys is None:
                raise
            log.error("the provider keys are refused, the last ones go on: %s", error)
            return self._keys
        hide(key.value.get_secret_value() for key in keys.values())
        if self._keys is not None:
            for name in sorted(keys.keys() | self._keys.keys()):
                _tell(name, self._keys.get(name), keys.get(name))
        self._keys = keys
        return keys


def merged(file: CatalogFile, stored: Mapping[str, Sequence[str]]) -> Aliases:
    """The aliases of both; the database's win over the file's."""
    return {**file.aliases, **{name: tuple(targets) for name, targets in stored.items()}}


def _limits(stored: Stored) -> dict[Any, PlanLimits]:
    plans = _usable(stored.limits)
    return {plan: limits.changed(plans.get(plan, {})) for plan, limits in DEFAULT_LIMITS.items()}


def _alias_errors(catalog: Catalog, aliases: Aliases) -> Iterator[AliasError]:
    names = {name for deployment in catalog for name in names_of(deployment)}
    return alias_errors(aliases, names, {str(deployment.tier) for deployment in catalog})


def _tell(name: str, before: Key | None, after: Key | None) -> None:
    if before != after:
        what = "is new" if before is None else "is gone" if after is None else "is renewed"
        log.info("credential %s %s", name, what)


def _guard_actions(settings: Settings) -> GuardActions:
    return GuardActions(
        settings.abuse_guard,
        settings.secrets_guard,
        settings.personal_data_guard,
        settings.similar_prompts,
        settings.similar_deny_after,
    )


def repair_terms(settings: Settings) -> RepairTerms | None:
    """The terms of the settings; None where they name no StackStorm."""
    if settings.stackstorm_api_url is None:
        return None
    return RepairTerms(settings.stackstorm_residency, settings.stackstorm_patience)


def _usable(stored: Mapping[str, Set[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The limits that are set, by name, without those that this release does not understand."""
    found = {}
    for name, each in stored.items():
        try:
            DEFAULT_LIMITS[DEFAULT_PLAN].changed(each.value)
        except (LookupError, TypeError, ValueError) as error:
            log.error("the limits of %s that are set in the database are left out: %r", name, error)
        else:
            found[name] = each.value
    return found
