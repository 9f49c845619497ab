"""What every process is built on, made once from the settings and passed to whoever needs it."""

import os
from dataclasses import dataclass, field

import dramatiq

from synthralos.broker.brokers import build_broker
from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.broker.protocol import Doorbell
from synthralos.bus.build import build_bus
from synthralos.bus.line import Line
from synthralos.bus.postgres import PostgresBus
from synthralos.bus.protocol import Bus
from synthralos.config.catalog import CheckDeployment
from synthralos.config.settings import Settings, SettingsError
from synthralos.control.announcer import Announcer, direct_announcer
from synthralos.control.database_rings import DatabaseCarrier
from synthralos.control.direct_rings import DirectRings
from synthralos.domain.deployments import Catalog
from synthralos.live_config import KeptConfig, LiveConfig
from synthralos.store.admin.configuration import Configuration
from synthralos.store.admin.processes import Processes
from synthralos.store.sql.database import Database
from synthralos.streams.build import build_streams
from synthralos.streams.protocol import Streams
from synthralos.telemetry import families
from synthralos.telemetry.metrics import Metrics
from synthralos.telemetry.outages import Outages


@dataclass(frozen=True, slots=True)
class Core:
    """The shared parts of one process. In the embedded system API, worker and scheduler share one `Core`."""

    settings: Settings
    database: Database
    bus: Bus
    broker: dramatiq.Broker
    doorbell: Doorbell
    live: LiveConfig
    outages: Outages = field(default_factory=Outages)
    direct: DirectRings | None = None
    metrics: Metrics = field(default_factory=Metrics)
    streams: Streams = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "streams", build_streams(self.settings, self.database, self.bus))

    @property
    def line(self) -> Line | None:
        """What direct rings come in by; None where there are none."""
        return self.bus.line if isinstance(self.bus, PostgresBus) and self.direct is not None else None

    @property
    def catalog(self) -> Catalog:
        """The catalog as it is now."""
        return self.live.current.catalog

    def announcer(self) -> Announcer:
        """Who makes accepted jobs known: the caller's to start and to close."""
        if self.direct is None:
            return Announcer(self.doorbell)
        announcer = direct_announcer(self.doorbell, self.direct, self.database)
        self.metrics.reads(families.SECOND_RINGS, lambda: announcer.rung_again)
        return announcer

    def close(self, timeout: float = 2.0) -> None:
        """Ring what is still to be rung, then give back all connections."""
        self.live.close()
        self.doorbell.close(timeout)
        if self.direct is not None:
            self.direct.close()
        self.streams.close()
        self.bus.close()
        self.broker.close()
        self.database.close()


def build_core(settings: Settings, check: CheckDeployment) -> Core:
    """Connects to nothing yet: databases and brokers are connected to when they are first used.

    `check` says whether a deployment can be called.

    Raises `SettingsError` and `CatalogError`.
    """
    outages = Outages()
    database = Database(settings.database_url)
    try:
        broker = build_broker(settings.broker_url, settings.broker_namespace, [])
    except ValueError as error:
        raise SettingsError(f"BROKER_URL: {error}") from None
    direct = direct_rings(database, settings)
    carrier = DatabaseCarrier(database, direct) if direct is not None and settings.brokerless else broker
    core = Core(
        settings=settings,
        database=database,
        bus=build_bus(database),
        broker=broker,
        doorbell=BrokerDoorbell(carrier, settings.broker_namespace, outages=outages),
        live=KeptConfig(settings, os.environ, Configuration(database), check),
        outages=outages,
        direct=direct,
    )
    _show(core)
    return core


def direct_rings(database: Database, settings: Settings) -> DirectRings | None:
    """Who is rung directly; None where that is no gain (all in one process), or cannot be had (SQLite)."""
    if database.dialect != "postgresql" or settings.embedded:
        return None
    # Late enough that a busy machine makes nobody look dead, and early enough that the dead are rung for a moment only.
    fresh = max(settings.worker_lost_after / 3, 2 * settings.heartbeat_interval + 1)
    return DirectRings(lambda: Processes(database).living("worker"), fresh)


def _show(core: Core) -> None:
    """What every process shows."""
    metrics, doorbell, database = core.metrics, core.doorbell, core.database
    metrics.reads(families.OUTAGE, lambda: {(name,): seconds for name, seconds in core.outages.seconds().items()})
    metrics.reads(families.CONFIG_VERSION, lambda: core.live.current.version)
    metrics.reads(families.CATALOG_DEPLOYMENTS, lambda: len(core.live.current.catalog))
    if core.direct is not None:
        metrics.reads(families.DIRECT_RINGS, lambda: core.direct.rung_ids if core.direct else 0)
    metrics.reads(families.POOL, lambda: {(p.name, state): n for p in database.pools() for state, n in p.states()})
    metrics.reads(families.POOL_WAITS, lambda: {(pool.name,): pool.waits for pool in database.pools()})
    metrics.reads(families.POOL_WAIT_SECONDS, lambda: {(pool.name,): pool.wait_seconds for pool in database.pools()})
    if isinstance(doorbell, BrokerDoorbell):
        metrics.reads(families.DOORBELL_IDS, lambda: {("rung",): doorbell.rung_ids, ("dropped",): doorbell.dropped_ids})
        metrics.reads(families.DOORBELL_MESSAGES, lambda: doorbell.messages)
        metrics.reads(families.DOORBELL_FAILURES, lambda: doorbell.failures)
        metrics.reads(families.DOORBELL_PENDING, lambda: doorbell.pending_ids)
