"""What `synthralos doctor` looks at, one function each: what it found, and what to do about it."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import sqlalchemy as sa

from cli.options import sqlite_file
from migrations import schema as schemas
from migrations.schema import Schema
from pipelines.providers.table import check_catalog
from synthralos.broker.base import DoorbellBroker
from synthralos.broker.brokers import build_broker
from synthralos.broker.outage import DIAGNOSES as BROKER
from synthralos.config.abuse_patterns import read_patterns
from synthralos.config.catalog import load_catalog
from synthralos.config.credentials import Credentials
from synthralos.config.settings import Settings
from synthralos.domain.credential_states import standings
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.processes import Processes
from synthralos.store.exports.operating import ExportOperations
from synthralos.store.read.overview import read_overview
from synthralos.store.sql.database import Database
from synthralos.store.sql.errors import StoreError
from synthralos.store.sql.outage import DIAGNOSES as DATABASE
from synthralos.store.sql.types import utcnow

CLOCK = 2.0
"""Seconds that this machine's clock may differ from the database's. Times come from the database; logs do not."""

LITTLE, SCARCE = 2 * 1024**3, 200 * 1024**2
"""Free bytes on the disk: below the first a warning, below the second a fault."""


BEHIND = 300.0
"""Seconds that a finished trace may wait for its destination."""


class Finding(NamedTuple):
    """One line: what was looked at, how it is, and the remedy where it is not well."""

    what: str
    level: Literal["ok", "warning", "fault"]
    found: str
    remedy: str = ""


def examine(chosen: Settings) -> Iterator[Finding]:
    """All checks, each as soon as it is done. What depends on the database is left out where that is away."""
    yield from _catalog(chosen)
    file = sqlite_file(chosen)
    if file is not None and not file.exists():
        yield Finding(
            "database", "warning", f"{file} is not there yet", "`synthralos up` or `synthralos migrate` makes it"
        )
    else:
        database = Database(chosen.database_url)
        try:
            yield from _database(database, chosen)
        finally:
            database.close()
    yield _reached("broker", "BROKER_URL", chosen.broker_url, chosen.broker_namespace)
    if chosen.redis_url is not None:
        yield _reached("redis", "REDIS_URL", chosen.redis_url, chosen.broker_namespace)
    yield _disk(chosen)


def _catalog(chosen: Settings) -> Iterator[Finding]:
    catalog = load_catalog(chosen.catalog_file)
    check_catalog(catalog)
    read_patterns(chosen.abuse_patterns)
    credentials = Credentials.from_settings(chosen, os.environ, catalog)
    usable = {d.provider for d in catalog if credentials.why_not_offered(d) is None}
    reasons = sorted({why for d in catalog if (why := credentials.why_not_offered(d))})
    if not usable:
        yield Finding("providers", "fault", "no deployment can be used", "; ".join(reasons))
    elif usable == {"sandbox"}:
        remedy = "for real answers set a provider's key, such as OPENAI_API_KEY"
        yield Finding("providers", "warning", "only the sandbox, which makes answers up", remedy)
    else:
        yield Finding("providers", "ok", ", ".join(sorted(usable)))
    undeclared = sorted(d.id for d in catalog if d.residency is None)
    if undeclared:
        remedy = "data classified eu is kept from them; set residency in the catalog to where they process data"
        yield Finding("residency", "warning", f"not declared: {', '.join(undeclared)}", remedy)


def _database(database: Database, chosen: Settings) -> Iterator[Finding]:
    try:
        with database.snapshot() as connection:
            now = connection.execute(sa.select(utcnow())).scalar_one()
        yield Finding("database", "ok", database.dialect)
        yield _clock(abs((datetime.now(UTC) - now).total_seconds()))
        schema = _schema(schemas.current(database))
        yield schema
        if schema.level != "fault":
            yield from _processes(database, chosen)
            yield from _refused(database, chosen)
            yield from _exports(database, chosen)
    except StoreError as error:
        yield Finding("database", "fault", *DATABASE.of(error.__cause__ or error))


def _clock(apart: float) -> Finding:
    if apart <= CLOCK:
        return Finding("clock", "ok", f"{apart:.1f} s from the database's")
    remedy = "let both machines follow a time server (chrony, systemd-timesyncd)"
    return Finding("clock", "warning", f"{apart:.0f} s from the database's", remedy)


def _schema(current: str | None) -> Finding:
    found = f"at {current or 'base'}, this release wants {schemas.head()}"
    match schemas.schema_at(current):
        case Schema.OK:
            return Finding("schema", "ok", schemas.head())
        case Schema.NEWER:
            return Finding("schema", "ok", f"at {current}, newer than this release, which works with it")
        case Schema.OUTDATED:
            return Finding("schema", "fault", found, "run `synthralos migrate`")
        case Schema.FOREIGN:
            return Finding("schema", "fault", found, "this is another program's database: correct DATABASE_URL")


def _processes(database: Database, chosen: Settings) -> Iterator[Finding]:
    living = _living(database, chosen)
    for kind in ("worker", "scheduler"):
        number = living[kind]
        remedy = "" if number else f"start one: `synthralos {kind}`, or everything with `synthralos up`"
        yield Finding(f"{kind}s", "ok" if number else "warning", str(number or "none"), remedy)
    oldest = read_overview(database).oldest
    if oldest is not None and oldest.state == "queued" and oldest.age > 60:
        remedy = f"see `synthralos status` and `synthralos jobs show {oldest.id}`"
        yield Finding("queue", "warning", f"a job waits at {oldest.stage} since {oldest.age:.0f} s", remedy)


def _living(database: Database, chosen: Settings) -> Counter[str]:
    """How many processes of each kind live."""
    return Counter(each.kind for each in Processes(database).living() if each.age < chosen.worker_lost_after)


def _refused(database: Database, chosen: Settings) -> Iterator[Finding]:
    """Provider keys that are refused, by name."""
    catalog = load_catalog(chosen.catalog_file)
    credentials = Credentials.from_settings(chosen, os.environ, catalog)
    there = [key.name for key in credentials.keys]
    for each in standings(credentials.wanted(catalog), there, BreakerStore(database).all()):
        if each.refused_by:
            found = f"{each.name} is refused since {each.since:%Y-%m-%d %H:%M} UTC by {', '.join(each.refused_by)}"
            yield Finding("credentials", "warning", found, "replace the key; see `synthralos credentials list`")


def _exports(database: Database, chosen: Settings) -> Iterator[Finding]:
    """Destinations that fell behind, and who is to ship where nobody lives who may."""
    if chosen.export_by == "exporters" and not _living(database, chosen)["exporter"]:
        remedy = "start one: `synthralos exporter`, or set EXPORT_BY=auto and have the workers ship"
        yield Finding("exporters", "warning", "none, and EXPORT_BY=exporters: what is owed waits", remedy)
    for each in ExportOperations(database).standings():
        if each.stopped:
            remedy = f"mend what it says, then `synthralos exports resume {each.name}`"
            yield Finding("exports", "warning", f"{each.name} is stopped: {each.last_error}", remedy)
        elif each.lag > BEHIND:
            said = f"{each.name} is owed {each.pending} traces, the oldest for {each.lag:.0f} s"
            yield Finding("exports", "warning", said, "see `synthralos exports list` for what it said last")
        else:
            yield Finding("exports", "ok", f"{each.name}: {each.pending} traces owed")


def _reached(what: str, variable: str, url: str, namespace: str) -> Finding:
    broker: DoorbellBroker | None = None
    try:
        broker = build_broker(url, namespace, [])
        broker.reach()
    except ValueError as error:
        return Finding(what, "fault", str(error), f"correct {variable}")
    except Exception as error:  # noqa: BLE001 - whatever keeps it away is what is asked for
        reason, remedy = BROKER.of(error)
        return Finding(what, "fault", reason, remedy.replace("BROKER_URL", variable).replace("the broker", what))
    finally:
        if broker is not None:
            broker.close()
    return Finding(what, "ok", url.partition(":")[0])


def _disk(chosen: Settings) -> Finding:
    file = sqlite_file(chosen)
    folder = Path.cwd() if file is None else file.parent
    return disk_finding(folder, lambda: shutil.disk_usage(folder).free)


def disk_finding(folder: Path, free_bytes: Callable[[], int]) -> Finding:
    """What the free space of `folder` means."""
    try:
        free = free_bytes()
    except OSError as error:
        return Finding("disk", "fault", f"{folder}: {error.strerror}", "create the folder, or correct DATABASE_URL")
    level: Literal["ok", "warning", "fault"] = "ok" if free >= LITTLE else "warning" if free >= SCARCE else "fault"
    remedy = "" if level == "ok" else "make room"
    return Finding("disk", level, f"{free / 1024**3:.1f} GiB free at {folder}", remedy)
