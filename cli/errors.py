"""Expected errors as one line with what to do about it, and the exit code that they end the command with."""

import errno
from collections.abc import Callable, Mapping
from typing import NamedTuple

from alembic.util.exc import CommandError
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from cli.exits import Exit
from guardrails_sidecar.configuration import ConfigurationProblem
from guardrails_sidecar.environment import EnvironmentProblem
from synthralos.config.catalog import CatalogError
from synthralos.config.settings import SettingsError
from synthralos.store.sql.errors import StoreError
from synthralos.telemetry.serving import PortTaken
from synthralos_client import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    NotFound,
    PermissionDenied,
    ServerError,
    WaitTimeout,
)


class Told(NamedTuple):
    """What the user is told about an error: a line, or one for each of several."""

    line: str
    code: Exit


_LISTINGS: Mapping[str, str] = {
    "job": "jobs list",
    "wait point": "waits list",
    "run": "jobs list --run-id …",
    "trace": "traces search",
    "schedule": "schedules list",
    "repair": "repairs list",
    "incident": "incidents list",
    "operation": "dead-letters operations",
    "breaker": "breakers list",
    "webhook endpoint": "webhooks list",
    "key": "keys list",
    "budget": "budgets list",
}
"""The command that lists things of a kind, by what the API calls one."""

_BOUND = ("whole installation", "bound to no organization", "bound to no workspace")
"""How the API says that a key is bound to too little."""


def explain(error: Exception) -> Told | None:
    """The line for an expected error; None for one that is a bug."""
    for kind, tell in _EXPECTED:
        if isinstance(error, kind):
            return tell(error)
    return None


def _setting(error: Exception) -> Told:
    return Told(str(error), Exit.SETTING)


def _client_setting(error: Exception) -> Told:
    hint = "; `synthralos keys create` makes a key" if "API key" in str(error) else ""
    return Told(f"{_said(error)}{hint}", Exit.SETTING)


def _unauthorized(error: Exception) -> Told:
    return Told(f"{_said(error)}: set SYNTHRALOS_API_KEY; `synthralos keys create` makes a key", Exit.REFUSED)


def _forbidden(error: Exception) -> Told:
    said = _said(error)
    unbound = any(sign in said for sign in _BOUND)
    key = "of the whole installation" if unbound else "with a higher role"
    option = "without --organization" if unbound else "--role …"
    return Told(f"{said}: use a key {key} (`synthralos keys create` {option})", Exit.REFUSED)


def _refused(error: Exception) -> Told:
    return Told(str(error), Exit.REFUSED)


def _not_found(error: Exception) -> Told:
    said = _said(error)
    listing = next((command for thing, command in _LISTINGS.items() if f"no such {thing}" in said), _LISTINGS["job"])
    return Told(f"{said}: `synthralos {listing}` shows what this key can see", Exit.REFUSED)


def _unreachable(error: Exception) -> Told:
    return Told(f"{error} SYNTHRALOS_URL or --url says where; `synthralos up` starts one", Exit.UNREACHABLE)


def _server_error(error: Exception) -> Told:
    return Told(f"{_said(error)}: ask its /health/ready what is down", Exit.UNREACHABLE)


def _too_late(error: Exception) -> Told:
    return Told(str(error), Exit.TIMEOUT)


def _database(error: Exception) -> Told | None:
    cause = error.__cause__ if isinstance(error, StoreError) else None
    said = cause or error
    reason = _first_line((said.orig if isinstance(said, DBAPIError) else None) or said)
    if any(sign in reason for sign in ("no such table", "no such column", "does not exist")):
        return Told(f"the database lacks our schema ({reason}): run `synthralos migrate`", Exit.SETTING)
    return Told(f"the database cannot be used: {reason}; see DATABASE_URL", Exit.UNREACHABLE)


def _database_url(error: Exception) -> Told:
    return Told(f"DATABASE_URL: {_first_line(error)}", Exit.SETTING)


def _migration(error: Exception) -> Told:
    return Told(f"{_first_line(error)}: `synthralos migrate current` shows the newest revision", Exit.USAGE)


def _operating_system(error: Exception) -> Told | None:
    assert isinstance(error, OSError)
    if error.errno == errno.EADDRINUSE:
        return Told(f"{error.strerror}: another process has the port; choose one with --port or PORT", Exit.UNREACHABLE)
    if error.filename is None:
        return None
    return Told(f"{error.filename}: {error.strerror}", Exit.USAGE)


def _metrics_port(error: Exception) -> Told:
    assert isinstance(error, PortTaken)
    return Told(f"{error.strerror}; each process of a host needs a port of its own, 0 is none", Exit.UNREACHABLE)


def _failed(error: Exception) -> Told:
    return Told(str(error), Exit.FAILED)


def _said(error: Exception) -> str:
    return str(error).rstrip(".")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


_EXPECTED: tuple[tuple[type[Exception], Callable[[Exception], Told | None]], ...] = (
    (SettingsError, _setting),
    (CatalogError, _setting),
    (ConfigurationProblem, _setting),
    (EnvironmentProblem, _failed),
    (ConfigurationError, _client_setting),
    (ConnectError, _unreachable),
    (WaitTimeout, _too_late),
    (AuthenticationError, _unauthorized),
    (PermissionDenied, _forbidden),
    (NotFound, _not_found),
    (ServerError, _server_error),
    (ApiError, _refused),
    (CommandError, _migration),
    (ArgumentError, _database_url),
    (StoreError, _database),
    (SQLAlchemyError, _database),
    (PortTaken, _metrics_port),
    (OSError, _operating_system),
)
"""The first row whose kind fits counts."""
