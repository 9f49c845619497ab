"""What every process is built on, made once from the settings and passed to whoever needs it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import dramatiq

from synthralos.broker.brokers import build_broker
from synthralos.broker.doorbell import BrokerDoorbell
from synthralos.broker.protocol import Doorbell
from synthralos.bus.build import build_bus
from synthralos.bus.line import Line
from synthralos.bus.postgres import PostgresBus
from synthralos.bus.protocol import Bus
from synthralos.catalog import load_catalog
from synthralos.control.announcer import Announcer, direct_announcer
from synthralos.credentials import Credentials
from synthralos.domain.deployments import Catalog
from synthralos.settings import Settings, SettingsError
from synthralos.store.sql.database import Database
from synthralos.telemetry.outages import Outages


@dataclass(frozen=True, slots=True)
class Core:
    """The shared parts of one process. In the embedded system API, worker and scheduler share one `Core`."""

    settings: Settings
    database: Database
    bus: Bus
    broker: dramatiq.Broker
    doorbell: Doorbell
    catalog: Catalog
    credentials: Credentials
    outages: Outages = field(default_factory=Outages)

    @property
    def line(self) -> Line | None:
        """What direct rings come by; None where they are no gain, or cannot be had (SQLite)."""
        bus = self.bus
        return bus.line if isinstance(bus, PostgresBus) and not self.settings.embedded else None

    def announcer(self) -> Announcer:
        """Who makes accepted jobs known: the caller's to start and to close."""
        if self.line is None:
            return Announcer(self.doorbell)
        return direct_announcer(self.doorbell, self.database, self.settings)

    def close(self, timeout: float = 2.0) -> None:
        """Ring what is still to be rung, then give back all connections."""
        self.doorbell.close(timeout)
        self.bus.close()
        self.broker.close()
        self.database.close()


def build_core(settings: Settings, middleware: Sequence[dramatiq.Middleware] = ()) -> Core:
    """Connects to nothing yet: databases and brokers are connected to when they are first used.

    Raises `SettingsError` and `CatalogError`.
    """
    outages = Outages()
    database = Database(settings.database_url)
    try:
        broker = build_broker(settings.broker_url, settings.broker_namespace, list(middleware))
    except ValueError as error:
        raise SettingsError(f"BROKER_URL: {error}") from None
    catalog = load_catalog(settings.catalog_file)
    return Core(
        settings=settings,
        database=database,
        bus=build_bus(database),
        broker=broker,
        doorbell=BrokerDoorbell(broker, settings.broker_namespace, outages=outages),
        catalog=catalog,
        credentials=Credentials.from_settings(settings, os.environ, catalog),
        outages=outages,
    )
