"""Which deployments can be used, and with which keys: the provider keys of this process, and the rule for the sandbox.

Keys are never shown, logged or stored; everything else knows them by name.
"""

from collections.abc import Callable, Mapping, Sequence

from synthralos.config.key_sources import Key, KeySources
from synthralos.config.settings import Settings
from synthralos.domain.credentials import group_of, is_group, variable_of
from synthralos.domain.deployments import Catalog, Deployment

SANDBOX = "sandbox"
"""The adapter of deployments that cost nothing and reach nobody."""


CredentialsNow = Callable[[], "Credentials"]
"""The credentials as they are now: they may change while a process runs."""


class Credentials:
    """The provider keys by name, and what can be used with them. Immutable."""

    def __init__(self, keys: Mapping[str, Key], catalog: Catalog, sandbox: str) -> None:
        self._keys = dict(keys)
        wanted = {deployment.wanted_credential for deployment in catalog}
        self._names = {each: self._meant_by(each, wanted) for each in wanted if each is not None}
        real = any(self._missing(deployment) is None for deployment in catalog if deployment.adapter != SANDBOX)
        self._no_sandbox = _why_no_sandbox(sandbox, real)

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str], catalog: Catalog) -> "Credentials":
        """The keys that `catalog` names, from the settings, from `environ` and from files.

        Raises `SettingsError` for a key that cannot stand in an HTTP header. An empty key counts as none.
        """
        return cls(KeySources(settings, environ).read(catalog), catalog, settings.sandbox)

    @property
    def keys(self) -> Sequence[Key]:
        """All keys, by name."""
        return [self._keys[name] for name in sorted(self._keys)]

    def key(self, name: str | None) -> Key | None:
        """The key of that name, if there is one."""
        return None if name is None else self._keys.get(name)

    def names_for(self, deployment: Deployment) -> tuple[str, ...]:
        """The names of the keys that `deployment` may be called with; none where it needs none or there is none.

        A key that an entry of the catalog names is for those that name it; the others of its group share the rest.
        """
        return self._names.get(deployment.wanted_credential or "", ())

    def wanted(self, catalog: Catalog) -> dict[str, list[str]]:
        """The deployments of each key that some may be called with, or would be, were it there."""
        found: dict[str, list[str]] = {name: [] for name in self._keys}
        for deployment in catalog:
            missing = () if deployment.wanted_credential is None else (deployment.wanted_credential,)
            for name in self.names_for(deployment) or missing:
                found.setdefault(name, []).append(deployment.id)
        return found

    def why_not_offered(self, deployment: Deployment) -> str | None:
        """None when `deployment` can be used, otherwise the reason."""
        return self._no_sandbox if deployment.adapter == SANDBOX else self._missing(deployment)

    def _meant_by(self, wanted: str, all_wanted: set[str | None]) -> tuple[str, ...]:
        if not is_group(wanted):
            return (wanted,) if wanted in self._keys else ()
        return tuple(n for n in sorted(self._keys) if n == wanted or (group_of(n) == wanted and n not in all_wanted))

    def _missing(self, deployment: Deployment) -> str | None:
        wanted = deployment.wanted_credential
        if wanted is None or self._names.get(wanted):
            return None
        if not is_group(wanted):
            return f"no credential {wanted}: put it into a file of that name in SECRETS_DIR"
        return f"no credential: set {deployment.api_key_env or variable_of(wanted)}"

    def __repr__(self) -> str:
        return f"Credentials(for {', '.join(sorted(self._keys)) or 'nothing'})"


def _why_no_sandbox(sandbox: str, real: bool) -> str | None:
    if sandbox == "off":
        return "the sandbox is off: set SANDBOX=on"
    if sandbox == "auto" and real:
        return "the sandbox is not offered beside real providers: set SANDBOX=on"
    return None
