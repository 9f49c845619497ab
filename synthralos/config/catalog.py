"""The catalog file: which deployments there are, read from TOML and checked to the last field.

The form of the file is explained at the top of `catalog.toml`, the built-in one. A wrong entry raises `CatalogError`.
Entries of the same form that operators keep in the database stand in for those of the file, or are added to them.
"""

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError

from synthralos.config.price_entries import FACTOR, RATES, PriceEntry, Table, Tokens
from synthralos.domain.aliases import AliasError, Aliases, check_aliases
from synthralos.domain.credentials import NAME
from synthralos.domain.deployments import Capability, Catalog, Deployment, Tier, names_of

BUILT_IN = "built-in catalog.toml"

_ID = re.compile(r"(?P<provider>[a-z0-9][a-z0-9._-]*)/(?P<model>[^@\s]+)@(?P<region>[a-z0-9][a-z0-9-]*)")


class CatalogError(Exception):
    """The catalog cannot be used. The message is one line: which file, which entry, which field, and why.

    `field` and `reason` are there where one field of an entry is wrong.
    """

    def __init__(self, message: str, field: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason


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


def _credential(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("must be the name of a credential, such as openai or openai.eu, never the key itself")
    return name


_Server = Annotated[str, AfterValidator(_server)]
_Credential = Annotated[str, AfterValidator(_credential)]
_Variable = Annotated[str, AfterValidator(_variable)]
_Kind = TypeVar("_Kind", bound=Table)


class _ProviderEntry(Table):
    adapter: str
    base_url: _Server | None = None
    api_key_env: _Variable | None = None
    credential: _Credential | None = None
    options: Annotated[dict[str, Any], Field(default_factory=dict)]


class DeploymentEntry(Table):
    """What a deployment is made of besides its id; what its provider says holds where an entry says nothing."""

    context_window: Annotated[Tokens, Field(description="tokens of prompt and answer together")]
    max_output: Annotated[Tokens, Field(description="tokens of an answer at most")]
    price: Annotated[PriceEntry | None, Field(description="US dollars per million tokens; null: unknown")] = None
    tier: Tier = Tier.STANDARD
    capabilities: Annotated[list[Capability], Field(default_factory=list)]
    lacks: Annotated[
        list[Capability],
        Field(default_factory=list, description="what goes without saying and is missing: streaming, json_schema"),
    ]
    upstream_model: Annotated[str | None, Field(description="the name that the server knows; else the model's")] = None
    adapter: Annotated[str | None, Field(description="the wire protocol; else the provider's")] = None
    base_url: Annotated[_Server | None, Field(description="the server; else the provider's")] = None
    api_key_env: Annotated[
        _Variable | None, Field(description="environment variable of the processes that holds the key")
    ] = None
    credential: Annotated[
        _Credential | None, Field(description="name of the key, or of several; else by api_key_env")
    ] = None
    max_in_flight: Annotated[Tokens, Field(description="concurrent calls of one worker process at most")] = 1000
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False, description="seconds a call may take at most")] = 120.0
    weight: Annotated[int, Field(strict=True, ge=0)] = 100
    options: Annotated[dict[str, Any], Field(default_factory=dict, description="of the adapter")]
    residency: Annotated[
        str | None,
        Field(pattern=r"^[a-z0-9][a-z0-9-]*$", description="where data is processed, such as eu; else the region's"),
    ] = None
    zero_retention: Annotated[bool, Field(strict=True, description="by contract the provider keeps nothing")] = False
    enabled: Annotated[bool, Field(strict=True, description="false: it gets no calls")] = True
    rpm: Annotated[Tokens | None, Field(description="requests a minute that the provider allows; null: unknown")] = None
    tpm: Annotated[Tokens | None, Field(description="tokens a minute that the provider allows; null: unknown")] = None


class _NamedEntry(DeploymentEntry):
    id: str


class _Aliases(Table):
    aliases: dict[Annotated[str, Field(pattern=r"^\S{1,200}$")], str | list[str]]


CheckDeployment = Callable[[Deployment], object]
"""Raises `CatalogError` for a deployment that cannot be called."""

Entry = Mapping[str, Any]
"""A deployment as the file has it: the members of a [[deployment]] table, without its id."""


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A catalog file as it was read: providers, deployments and aliases by name."""

    name: str
    providers: Mapping[str, "_ProviderEntry"]
    deployments: Mapping[str, Deployment]
    aliases: Aliases

    def deployment(self, deployment_id: str, entry: Entry) -> Deployment:
        """The deployment that an entry from elsewhere makes with this file's providers; raises `CatalogError`."""
        return _deployment({**entry, "id": deployment_id}, self.providers, f"deployment {deployment_id!r}")

    def with_entries(
        self, entries: Mapping[str, Entry], check: CheckDeployment, aliases: Aliases | None = None
    ) -> tuple[Catalog, list[CatalogError]]:
        """The catalog with `entries` by id in place of the file's or beside them; those that are wrong are left out.

        `aliases` stand in for the file's.
        """
        deployments, errors = dict(self.deployments), []
        for deployment_id, entry in entries.items():
            try:
                deployment = self.deployment(deployment_id, entry)
                check(deployment)
                deployments[deployment_id] = deployment
            except CatalogError as error:
                errors.append(error)
        return Catalog(list(deployments.values()), self.aliases if aliases is None else aliases), errors


def load_catalog(path: Path | None) -> Catalog:
    """The catalog in the TOML file at `path`, or the built-in one; raises `CatalogError`."""
    file = read_catalog(path)
    return Catalog(list(file.deployments.values()), file.aliases)


def read_catalog(path: Path | None) -> CatalogFile:
    """The catalog file at `path`, or the built-in one; raises `CatalogError`."""
    name = BUILT_IN if path is None else str(path)
    document = _read(path, name)
    unknown = sorted(set(document) - {"providers", "deployment", "aliases"})
    if unknown:
        known = "[providers.NAME], [[deployment]] and [aliases]"
        raise CatalogError(f"{name}: {unknown[0]}: unknown key; a catalog has {known}")
    providers = {
        provider: _checked(_ProviderEntry, entry, f"{name}: providers.{provider}")
        for provider, entry in _table(document.get("providers", {}), f"{name}: providers").items()
    }
    entries = document.get("deployment")
    if not isinstance(entries, list) or not entries:
        raise CatalogError(f"{name}: deployment: must be one or more [[deployment]] entries")
    deployments: dict[str, Deployment] = {}
    for number, entry in enumerate(entries, 1):
        table = _table(entry, f"{name}: deployment {number}")
        named = repr(table["id"]) if isinstance(table.get("id"), str) else str(number)
        deployment = _deployment(table, providers, f"{name}: deployment {named}")
        if deployment.id in deployments:
            raise CatalogError(f"{name}: deployment {deployment.id!r}: id: is already used by an earlier entry")
        deployments[deployment.id] = deployment
    return CatalogFile(
        name, providers, deployments, _aliases(document.get("aliases", {}), deployments, providers, name)
    )


def _aliases(value: object, deployments: Mapping[str, Deployment], providers: Collection[str], file: str) -> Aliases:
    """The aliases of the file. A whole id of a provider of the file may be a deployment that is in the database."""
    checked = _checked(_Aliases, {"aliases": _table(value, f"{file}: aliases")}, file).aliases
    aliases = {alias: (targets,) if isinstance(targets, str) else tuple(targets) for alias, targets in checked.items()}
    names = {name for deployment in deployments.values() for name in names_of(deployment)}
    ids = (_ID.fullmatch(target) for targets in aliases.values() for target in targets)
    names |= {found.string for found in ids if found is not None and found["provider"] in providers}
    try:
        check_aliases(aliases, names, {deployment.tier for deployment in deployments.values()})
    except AliasError as error:
        raise _wrong(f"{file}: aliases", error.path, error.reason) from None
    return aliases


def _read(path: Path | None, name: str) -> dict[str, Any]:
    source = resources.files("synthralos.config").joinpath("catalog.toml") if path is None else path
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
        path = [part for part in first["loc"] if part not in (FACTOR, RATES)]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        reason = {"missing": "is missing", "extra_forbidden": "unknown key"}.get(first["type"], first["msg"])
        raise _wrong(where, field or "entry", reason.removeprefix("Value error, ")) from None


def wrong_field(deployment: Deployment, field: str, reason: str) -> CatalogError:
    """The error of a deployment one of whose fields is wrong."""
    return _wrong(f"deployment {deployment.id!r}", field, reason)


def _wrong(where: str, field: str, reason: str) -> CatalogError:
    return CatalogError(f"{where}: {field}: {reason}", field, reason)


def _deployment(value: Entry, providers: Mapping[str, _ProviderEntry], where: str) -> Deployment:
    entry = _checked(_NamedEntry, dict(value), where)
    parts = _ID.fullmatch(entry.id)
    if parts is None:
        raise _wrong(where, "id", "must look like provider/model@region")
    provider = providers.get(parts["provider"])
    if provider is None:
        known = ", ".join(sorted(providers))
        raise _wrong(where, "id", f"{parts['provider']} is no provider of the catalog file, which has {known}")
    if entry.max_output > entry.context_window:
        raise _wrong(where, "max_output", "is larger than context_window")
    if both := sorted({*entry.capabilities} & {*entry.lacks}):
        raise _wrong(where, "lacks", f"names {both[0]}, which capabilities has too")
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
        price=None if entry.price is None else entry.price.price(),
        tier=entry.tier,
        capabilities=frozenset(entry.capabilities),
        lacks=frozenset(entry.lacks),
        api_key_env=entry.api_key_env or provider.api_key_env,
        credential=entry.credential or (None if entry.api_key_env else provider.credential),
        max_in_flight=entry.max_in_flight,
        timeout=entry.timeout,
        weight=entry.weight,
        options={**provider.options, **entry.options},
        residency=entry.residency,
        zero_retention=entry.zero_retention,
        enabled=entry.enabled,
        rpm=entry.rpm,
        tpm=entry.tpm,
    )
