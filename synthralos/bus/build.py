"""The bus that fits a database."""

from synthralos.bus.memory import MemoryBus
from synthralos.bus.postgres import PostgresBus
from synthralos.bus.protocol import Bus
from synthralos.store.sql.database import Database


def build_bus(database: Database) -> Bus:
    """The bus that fits the database."""
    return PostgresBus(database) if database.dialect == "postgresql" else MemoryBus()
