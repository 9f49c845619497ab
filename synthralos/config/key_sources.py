"""Where provider keys come from: environment variables, files that variables name, and a directory of files.

The files may change while a process runs; `stamp` tells whether they have. They are looked at through symbolic links,
so that directories as Kubernetes mounts them, which are swapped whole by a link, are seen to change like any others.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from synthralos.config.settings import Settings, SettingsError
from synthralos.domain.credentials import NAME, group_of, named_by, variable_of
from synthralos.domain.deployments import Catalog

MOST_BYTES = 16 * 1024
"""Of a file with one key."""

MOST_FILES = 1000
"""Of a directory of keys."""

_FILE = "_FILE"
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_NUMBERED = re.compile(r"(?P<variable>.+)_(?P<number>[2-9]|[1-9][0-9])")

FileStamp = tuple[int, int, int, int] | None
"""What tells two states of a file apart; None: it is not there."""

Stamp = tuple[tuple[str, FileStamp], ...]


@dataclass(frozen=True, slots=True)
class Key:
    """One provider key. `source` says to people where it comes from; the value is shown nowhere."""

    name: str
    source: str
    value: SecretStr


class _Found(NamedTuple):
    name: str
    source: str
    text: str


class KeySources:
    """The sources of one process. Whoever reads also says which files count for `stamp`."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._paths: dict[str, Path] = {}
        self._seen: Stamp = ()

    def read(self, catalog: Catalog) -> dict[str, Key]:
        """The keys that the catalog's deployments may want, by name. An empty variable counts as not set.

        Raises `SettingsError`, which names the source and never its content: for a file that cannot be read, a key that
        cannot stand in an HTTP header, and a credential that has two sources.
        """
        variables = _variables(catalog)
        groups = {variable: group for group, variable in variables.items()}
        self._paths = self._files_named_for(groups)
        self._seen = self._stamp()  # before they are read: what changes meanwhile is read again
        keys: dict[str, Key] = {}
        for found in (*self._of_variables(groups), *self._of_files(groups), *self._of_directory(variables)):
            known = keys.get(found.name)
            if known is not None:
                raise SettingsError(f"credential {found.name}: has two sources, {known.source} and {found.source}")
            keys[found.name] = Key(found.name, found.source, SecretStr(_checked(found)))
        return keys

    def changed(self) -> bool:
        """Whether any file has changed since the keys were read."""
        return self._stamp() != self._seen

    def _stamp(self) -> Stamp:
        directory = self._settings.secrets_dir
        files = [] if directory is None else _listed(directory)
        return tuple((str(path), _file_stamp(path)) for path in (*self._paths.values(), *files))

    def _files_named_for(self, groups: Mapping[str, str]) -> dict[str, Path]:
        """The files that variables with `_FILE` at the end name, by variable."""
        return {
            name: Path(self._environ[name].strip())
            for name in sorted(self._environ.keys() - groups.keys())
            if name.endswith(_FILE) and _held_by(name.removesuffix(_FILE), groups) and self._environ[name].strip()
        }

    def _of_variables(self, groups: Mapping[str, str]) -> Iterator[_Found]:
        for name in sorted(self._environ.keys() | groups.keys()):
            credential = _held_by(name, groups)
            if credential is None:
                continue
            # What is a setting too may come from elsewhere than the environment.
            text = _setting(self._settings, name) or self._environ.get(name, "")
            if text.strip():
                yield _Found(credential, name, text)

    def _of_files(self, groups: Mapping[str, str]) -> Iterator[_Found]:
        for name, path in self._paths.items():
            credential = _held_by(name.removesuffix(_FILE), groups)
            assert credential is not None
            yield _Found(credential, f"{name} ({path})", _text(path, name))

    def _of_directory(self, groups: Mapping[str, str]) -> Iterator[_Found]:
        directory = self._settings.secrets_dir
        if directory is None:
            return
        if not directory.is_dir():
            raise SettingsError(f"SECRETS_DIR: {directory} is not a directory")
        files = _listed(directory)
        if len(files) > MOST_FILES:
            raise SettingsError(f"SECRETS_DIR: {directory} holds more than {MOST_FILES} files")
        for path in files:
            if group_of(path.name) in groups:
                yield _Found(path.name, str(path), _text(path, "SECRETS_DIR"))


def _variables(catalog: Catalog) -> dict[str, str]:
    """The variable of each group that a deployment of the catalog wants a key of."""
    variables: dict[str, str] = {}
    for deployment in catalog:
        if deployment.api_key_env is not None:
            group = named_by(deployment.api_key_env)
            known = variables.setdefault(group, deployment.api_key_env)
            if known != deployment.api_key_env:
                raise SettingsError(f"api_key_env: {known} and {deployment.api_key_env} both stand for {group}")
    for wanted in (deployment.wanted_credential for deployment in catalog):
        if wanted is not None:
            variables.setdefault(group_of(wanted), variable_of(group_of(wanted)))
    return variables


def _held_by(variable: str, groups: Mapping[str, str]) -> str | None:
    """The credential that a variable holds: a group's own, or a further one by its number (2 to 99)."""
    if variable in groups:
        return groups[variable]
    numbered = _NUMBERED.fullmatch(variable)
    group = None if numbered is None else groups.get(numbered["variable"])
    return None if group is None or numbered is None else f"{group}:{numbered['number']}"


def _setting(settings: Settings, variable: str) -> str:
    value = getattr(settings, variable.lower(), None)
    return value.get_secret_value() if isinstance(value, SecretStr) else ""


def _listed(directory: Path) -> list[Path]:
    """The files of a directory that are named like credentials; one more than may be, where there are more."""
    found: list[Path] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                if NAME.fullmatch(entry.name):
                    found.append(directory / entry.name)
                if len(found) > MOST_FILES:
                    break
    except OSError:
        return []
    return sorted(found)


def _file_stamp(path: Path) -> FileStamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns


def _text(path: Path, setting: str) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsError(f"{setting}: {path} is not a file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{setting}: {path} cannot be read: {error.strerror or type(error).__name__}") from None
    if len(data) > MOST_BYTES:
        raise SettingsError(f"{setting}: {path} is too large for a key")
    if not data.strip():
        raise SettingsError(f"{setting}: {path} is empty; to take a key away, remove its file")
    return data.decode("latin-1")


def _checked(found: _Found) -> str:
    key = found.text.strip()
    if not _SENDABLE.fullmatch(key):
        raise SettingsError(f"{found.source}: holds characters that an API key cannot have")
    return key
