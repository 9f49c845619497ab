"""The catalog file: which deployments there are, read from TOML and checked to the last field.

The form of the file is explained at the top of `catalog.toml`, the built-in one. A wrong entry stops the start:
`load_catalog` raises `CatalogError`.
"""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from synthralos.domain.deployments import Capability, Catalog, Deployment, Tier
from synthralos.domain.money import Price

BUILT_IN = "built-in catalog.toml"

_ID = re.compile(r"(?P<provider>[a-z0-9][a-z0-9._-]*)/(?P<model>[^@\s]+)@(?P<region>[a-z0-9][a-z0-9-]*)")


class CatalogError(Exception):
    """The catalog cannot be used. The message is one line: which file, which entry, which field, and why."""


def _dollars(value: object) -> Decimal:
    if not isinstance(value, str):
        raise ValueError('must be a decimal in quotes, such as "0.15"')
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValueError('must be a decimal in quotes, such as "0.15"') from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("must not be negative")
    return amount


def _iso_date(value: str) -> str:
    date.fromisoformat(value)
    return value


def _server(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must hold no user, password, query or fragment; a key goes into api_key_env")
    return url.rstrip("/")


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("must be the name of an environment variable, never the key itself")
    return name


_Dollars = Annotated[Decimal, BeforeValidator(_dollars)]
_Server = Annotated[str, AfterValidator(_server)]
_Variable = Annotated[str, AfterValidator(_variable)]
_Tokens = Annotated[int, Field(strict=True, gt=0)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Kind = TypeVar("_Kind", bound=_Entry)


class _PriceEntry(_Entry):
    input: _Dollars
    output: _Dollars
    cached: _Dollars | None = None
    cache_write: _Dollars | None = None
    as_of: Annotated[str, AfterValidator(_iso_date)]


class _ProviderEntry(_Entry):
    adapter: str
    base_url: _Server | None = None
    api_key_env: _Variable | None = None
    options: dict[str, Any] = {}


class _DeploymentEntry(_Entry):
    id: str
    context_window: _Tokens
    max_output: _Tokens
    price: _PriceEntry | None = None
    tier: Tier = Tier.STANDARD
    capabilities: list[Capability] = []
    upstream_model: str | None = None
    adapter: str | None = None
    base_url: _Server | None = None
    api_key_env: _Variable | None = None
    max_in_flight: _Tokens = 1000
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    weight: Annotated[int, Field(strict=True, ge=0)] = 100
    options: dict[str, Any] = {}


def load_catalog(path: Path | None) -> Catalog:
    """The catalog in the TOML file at `path`, or the built-in one; raises `CatalogError`."""
    name = BUILT_IN if path is None else str(path)
    document = _read(path, name)
    unknown = sorted(set(document) - {"providers", "deployment"})
    if unknown:
        raise CatalogError(f"{name}: {unknown[0]}: unknown key; a catalog has [providers.NAME] and [[deployment]]")
    providers = {
        provider: _checked(_ProviderEntry, entry, f"{name}: providers.{provider}")
        for provider, entry in _table(document.get("providers", {}), f"{name}: providers").items()
    }
    entries = document.get("deployment")
    if not isinstance(entries, list) or not entries:
        raise CatalogError(f"{name}: deployment: must be one or more [[deployment]] entries")
    deployments: dict[str, Deployment] = {}
    for number, entry in enumerate(entries, 1):
        deployment = _deployment(_table(entry, f"{name}: deployment {number}"), number, providers, name)
        if deployment.id in deployments:
            raise CatalogError(f"{name}: deployment {deployment.id!r}: id: is already used by an earlier entry")
        deployments[deployment.id] = deployment
    return Catalog(list(deployments.values()))


def _read(path: Path | None, name: str) -> dict[str, Any]:
    source = resources.files("synthralos").joinpath("catalog.toml") if path is None else path
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogError(f"{name}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise CatalogError(f"{name}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{name}: is not TOML: {error}") from None


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CatalogError(f"{where}: must be a table")
    return value


def _checked(kind: type[_Kind], value: object, where: str) -> _Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        reason = {"missing": "is missing", "extra_forbidden": "unknown key"}.get(first["type"], first["msg"])
        raise CatalogError(f"{where}: {field or 'entry'}: {reason.removeprefix('Value error, ')}") from None


def _deployment(value: dict[str, Any], number: int, providers: Mapping[str, _ProviderEntry], name: str) -> Deployment:
    where = (
        f"{name}: deployment {value['id']!r}" if isinstance(value.get("id"), str) else f"{name}: deployment {number}"
    )
    entry = _checked(_DeploymentEntry, value, where)
    parts = _ID.fullmatch(entry.id)
    if parts is None:
        raise CatalogError(f"{where}: id: must look like provider/model@region")
    provider = providers.get(parts["provider"])
    if provider is None:
        raise CatalogError(f"{where}: id: there is no [providers.{parts['provider']}]")
    if entry.max_output > entry.context_window:
        raise CatalogError(f"{where}: max_output: is larger than context_window")
    return Deployment(
        id=entry.id,
        provider=parts["provider"],
        model=parts["model"],
        region=parts["region"],
        adapter=entry.adapter or provider.adapter,
        upstream_model=entry.upstream_model or parts["model"],
        base_url=entry.base_url or provider.base_url or "",
        context_window=entry.context_window,
        max_output=entry.max_output,
        price=None if entry.price is None else Price(**dict(entry.price)),
        tier=entry.tier,
        capabilities=frozenset(entry.capabilities),
        api_key_env=entry.api_key_env or provider.api_key_env,
        max_in_flight=entry.max_in_flight,
        timeout=entry.timeout,
        weight=entry.weight,
        options={**provider.options, **entry.options},
    )
