"""The configuration of a process, kept current while it runs: files of the catalog and of keys, and the database.

A thread looks at the files and at one number in the database every second, and at once when it hears of a change. What
it finds becomes a new `Config`, or is refused whole: then the last good one goes on, and a log line says why.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthralos.bus.protocol import Bus, Topic
from synthralos.config.abuse_patterns import read_patterns
from synthralos.config.catalog import CatalogError, CatalogFile, CheckDeployment, Entry, read_catalog
from synthralos.config.config import Config, GuardActions, RepairTerms
from synthralos.config.credentials import Credentials
from synthralos.config.key_sources import Key, KeySources
from synthralos.config.quality import read_quality
from synthralos.config.settings import Settings, SettingsError
from synthralos.domain.aliases import AliasError, Aliases, Wrong, alias_errors
from synthralos.domain.budgets import Budgets
from synthralos.domain.deployments import Catalog, Deployment, names_of
from synthralos.domain.flags import FLAGS, Flags
from synthralos.domain.limits import DEFAULT_LIMITS, DEFAULT_PLAN
from synthralos.domain.retention import Retention, own_days
from synthralos.store.admin.configuration import NOTHING_STORED, Check, Configuration, Names, Set, Stored
from synthralos.store.sql.errors import is_transient
from synthralos.telemetry.logs import hide
from synthralos.telemetry.outages import Reminder

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks: a change is effective in every process within two."""


Stamp = tuple[int, int, int] | None
"""What tells two states of a file apart."""


class LiveConfig:
    """`current` is the configuration now: one attribute, swapped whole. Thread-safe. This one stays as it is."""

    def __init__(self, config: Config) -> None:
        self.current = config

    def start(self, bus: Bus) -> None:
        """Keep it current from now on."""

    def read(self) -> None:
        """Find out now whether anything has changed; raises `StoreError` where the database cannot be asked."""

    def changed(self) -> None:
        """This process has changed it: have it effective here now, and soon everywhere."""

    def checked(self, deployment_id: str, entry: Entry) -> Deployment:
        """The deployment that an entry of the database would be; raises `CatalogError` for one that is wrong."""
        raise CatalogError("the catalog of this process cannot be changed", "id", "cannot be changed here")

    def check_names(self, changed: str = "") -> Check:
        """What refuses a change of aliases or deployments in the database; raises `AliasError`."""
        raise CatalogError("the catalog of this process cannot be changed", "name", "cannot be changed here")

    def close(self) -> None:
        """Keep it current no more."""


class KeptConfig(LiveConfig):
    """The configuration of the settings, the environment, the catalog file and the database."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        configuration: Configuration,
        check: CheckDeployment,
        every: float = EVERY,
    ) -> None:
        """Reads the files, not the database yet. Raises `CatalogError` and `SettingsError`."""
        self._settings = settings
        self._sources = KeySources(settings, environ)
        self._keys: dict[str, Key] | None = None
        self._configuration = configuration
        self._check = check
        self._every = every
        self._stamp = _stamp(settings.catalog_file)
        self._file = read_catalog(settings.catalog_file)
        self._patterns = read_patterns(settings.abuse_patterns)
        self._quality = read_quality(settings.quality_table)
        self._turn = threading.Lock()
        self._reminder = Reminder()
        self._woken = threading.Event()
        self._stopping = False
        self._bus: Bus | None = None
        self._thread: threading.Thread | None = None
        self._stored = NOTHING_STORED
        super().__init__(self._made(self._file, NOTHING_STORED))

    def start(self, bus: Bus) -> None:
        """Keep it current from now on. Returns at once; doing it twice is doing it once."""
        with self._turn:
            if self._thread is not None:
                return
            self._bus = bus
            self._thread = threading.Thread(target=self._run, args=(bus,), name="config", daemon=True)
        self._thread.start()

    def read(self) -> None:
        """Find out now whether anything has changed; raises `StoreError` where the database cannot be asked."""
        with self._turn:
            self._read()

    def changed(self) -> None:
        """This process has changed it: have it effective here now, and soon everywhere."""
        self._look()
        if self._bus is not None:
            self._bus.publish(Topic.CONFIG, ["changed"])

    def checked(self, deployment_id: str, entry: Entry) -> Deployment:
        """The deployment that an entry of the database would be; raises `CatalogError` for one that is wrong."""
        deployment = self._file.deployment(deployment_id, entry)
        self._check(deployment)
        return deployment

    def check_names(self, changed: str = "") -> Check:
        """What refuses a change of aliases or deployments in the database; raises `AliasError`.

        It refuses a change after which an alias cannot be followed that could be before, and any error of the alias
        that is `changed`.
        """

        def check(before: Names, after: Names) -> None:
            there = {(error.alias, error.reason) for error in self._wrong_names(before) if error.alias != changed}
            for error in self._wrong_names(after, changed):
                # A deployment may take its name from an alias, which then means that one.
                clashes = error.kind is Wrong.NAME and error.alias != changed
                if not clashes and (error.alias, error.reason) not in there:
                    raise error

        return check

    def _wrong_names(self, held: Names, first: str = "") -> list[AliasError]:
        merged = self._aliases(self._file, held.aliases)
        ordered = {name: merged[name] for name in sorted(merged, key=lambda name: name != first)}
        catalog, _ = self._file.with_entries(held.deployments, self._check, ordered)
        return list(_alias_errors(catalog, ordered))

    @staticmethod
    def _aliases(file: CatalogFile, stored: Mapping[str, Sequence[str]]) -> Aliases:
        """The database's win over the file's."""
        return {**file.aliases, **{name: tuple(targets) for name, targets in stored.items()}}

    def close(self) -> None:
        """Keep it current no more."""
        self._stopping = True
        self._woken.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(5)

    def _run(self, bus: Bus) -> None:
        self._look()
        try:
            bus.subscribe(Topic.CONFIG, lambda _: self._woken.set())
        except Exception:  # without being told it looks by itself: this thread must not end silently
            log.exception("changes of the configuration will not be heard of at once")
        while not self._stopping:
            self._look()
            self._woken.wait(self._every)
            self._woken.clear()

    def _look(self) -> None:
        """Read; what cannot be had is looked at again. The edge of a thread without which no change is heard of."""
        try:
            self.read()
        except Exception as error:  # noqa: BLE001 - see above
            if not is_transient(error) and self._reminder.due(time.monotonic()):
                log.error("the configuration cannot be read, the last one goes on: %s", error)

    def _read(self) -> None:
        path = self._settings.catalog_file
        stamp = _stamp(path)
        version = self._configuration.version()
        if stamp == self._stamp and version == self._stored.version and not self._sources.changed():
            return
        file = self._file if stamp == self._stamp else self._read_file(path)
        stored = self._configuration.read()
        # Noted before it is known to be good: what is refused is refused once, not every second.
        self._stamp, self._stored = stamp, stored
        try:
            self.current = self._made(file, stored)
        except (CatalogError, SettingsError) as error:
            log.error("the new configuration is refused, the last one goes on: %s", error)
            return
        self._file = file
        log.info("configuration %d is in force, %d deployments", stored.version, len(self.current.catalog))

    def _read_file(self, path: Path | None) -> CatalogFile:
        try:
            return read_catalog(path)
        except CatalogError as error:
            log.error("the catalog file is refused, the last one goes on: %s", error)
            return self._file

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

    def _made(self, file: CatalogFile, stored: Stored) -> Config:
        """Raises `CatalogError` and `SettingsError`."""
        for deployment in file.deployments.values():
            self._check(deployment)
        entries = {name: found.value for name, found in stored.deployments.items()}
        aliases = self._aliases(file, {name: found.value for name, found in stored.aliases.items()})
        catalog, wrong = file.with_entries(entries, self._check, aliases)
        for error in wrong:
            log.error("an entry of the database is left out of the catalog: %s", error)
        for alias in _alias_errors(catalog, aliases):
            log.error("an alias cannot be followed: %s", alias)
        credentials = Credentials(self._read_keys(catalog), catalog, self._settings.sandbox)
        states = {flag: stored.flags[flag].value for flag in FLAGS if flag in stored.flags}
        overrides = self._settings.flag_overrides
        plans = _usable(stored.limits)
        limits = {plan: limits.changed(plans.get(plan, {})) for plan, limits in DEFAULT_LIMITS.items()}
        return Config(
            catalog,
            credentials,
            Flags(states, overrides),
            limits,
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


def _stamp(path: Path | None) -> Stamp:
    """None where there is no such file (any more)."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
