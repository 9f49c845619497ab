"""The log of a process, as its settings want it. Called once, where the process begins."""

import os

from pydantic import SecretStr

from synthralos.config.settings import Settings, SettingsError
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.logs import set_up_logging
from synthralos.telemetry.redaction import secrets_of

FRANK = (OSError, StoreError, SettingsError)
"""Errors whose messages quote nothing that a tenant sent."""


def log_as(process: str, settings: Settings) -> None:
    """Log to standard error as a process of this kind (`api`, `worker` …)."""
    set_up_logging(process, settings.log_level, settings.log_format, known_secrets(settings), frank=FRANK)


def known_secrets(settings: Settings) -> set[str]:
    """The secrets that this process was given: they reach no log, and leave with no trace."""
    urls = (settings.database_url, settings.broker_url, settings.redis_url)
    keys = (value for _, value in settings if isinstance(value, SecretStr))
    return secrets_of(urls, os.environ) | {key.get_secret_value() for key in keys} | settings.export_secrets
