"""The configuration of a process, kept current while it runs: files of the catalog and of keys, and the database.

A thread looks at the files and at one number in the database every second, and at once when it hears of a change. What
it finds becomes a new `Config`, or is refused whole: then the last good one goes on, and a log line says why.
"""

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from synthralos.bus.protocol import Bus, Topic
from synthralos.config.catalog import CatalogError, CatalogFile, CheckDeployment, Entry, read_catalog
from synthralos.config.config import Config
from synthralos.config.settings import Settings, SettingsError
from synthralos.config_maker import ConfigMaker
from synthralos.domain.aliases import Wrong
from synthralos.domain.deployments import Deployment
from synthralos.store.admin.configuration import NOTHING_STORED, Check, Configuration, Names
from synthralos.store.sql.errors import is_transient
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
        self._path = settings.catalog_file
        self._configuration = configuration
        self._every = every
        self._stamp = _stamp(self._path)
        self._file = read_catalog(self._path)
        self._maker = ConfigMaker(settings, environ, check)
        self._turn = threading.Lock()
        self._reminder = Reminder()
        self._woken = threading.Event()
        self._stopping = False
        self._bus: Bus | None = None
        self._thread: threading.Thread | None = None
        self._stored = NOTHING_STORED
        super().__init__(self._maker.make(self._file, NOTHING_STORED))

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
        return self._maker.deployment(self._file, deployment_id, entry)

    def check_names(self, changed: str = "") -> Check:
        """What refuses a change of aliases or deployments in the database; raises `AliasError`.

        It refuses a change after which an alias cannot be followed that could be before, and any error of the alias
        that is `changed`.
        """

        def check(before: Names, after: Names) -> None:
            there = {
                (error.alias, error.reason)
                for error in self._maker.wrong_names(self._file, before)
                if error.alias != changed
            }
            for error in self._maker.wrong_names(self._file, after, changed):
                # A deployment may take its name from an alias, which then means that one.
                clashes = error.kind is Wrong.NAME and error.alias != changed
                if not clashes and (error.alias, error.reason) not in there:
                    raise error

        return check

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
        stamp = _stamp(self._path)
        version = self._configuration.version()
        if stamp == self._stamp and version == self._stored.version and not self._maker.keys_changed():
            return
        file = self._file if stamp == self._stamp else self._read_file()
        stored = self._configuration.read()
        # Noted before it is known to be good: what is refused is refused once, not every second.
        self._stamp, self._stored = stamp, stored
        try:
            self.current = self._maker.make(file, stored)
        except (CatalogError, SettingsError) as error:
            log.error("the new configuration is refused, the last one goes on: %s", error)
            return
        self._file = file
        log.info("configuration %d is in force, %d deployments", stored.version, len(self.current.catalog))

    def _read_file(self) -> CatalogFile:
        try:
            return read_catalog(self._path)
        except CatalogError as error:
            log.error("the catalog file is refused, the last one goes on: %s", error)
            return self._file


def _stamp(path: Path | None) -> Stamp:
    """None where there is no such file (any more)."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)
