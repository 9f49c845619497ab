"""Which deployments can be used: the provider keys of this process, and the rule for the sandbox.

Read once at the start from the settings and the environment; keys are never shown, logged or stored.
"""

import re
from collections.abc import Callable, Mapping

from pydantic import SecretStr

from synthralos.config.settings import Settings, SettingsError
from synthralos.domain.deployments import Catalog, Deployment

SANDBOX = "sandbox"
"""The adapter of deployments that cost nothing and reach nobody."""

_SENDABLE = re.compile(r"[\x21-\x7e]+")


CredentialsNow = Callable[[], "Credentials"]
"""The credentials as they are now: they may change while a process runs."""


class Credentials:
    """The provider keys by the name of their environment variable, and what can be used with them."""

    def __init__(self, keys: Mapping[str, SecretStr], catalog: Catalog, sandbox: str) -> None:
        self._keys = dict(keys)
        real = any(self._missing(deployment) is None for deployment in catalog if deployment.adapter != SANDBOX)
        self._no_sandbox = _why_no_sandbox(sandbox, real)

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str], catalog: Catalog) -> "Credentials":
        """The keys that `catalog` names, from the settings first, then from `environ`.

        Raises `SettingsError` for a key that cannot stand in an HTTP header. An empty key counts as none.
        """
        keys = {}
        for name in sorted({d.api_key_env for d in catalog if d.api_key_env}):
            key = _setting(settings, name) or environ.get(name, "")
            if not key.strip():
                continue
            if not _SENDABLE.fullmatch(key.strip()):
                raise SettingsError(f"{name}: holds characters that an API key cannot have")
            keys[name] = SecretStr(key.strip())
        return cls(keys, catalog, settings.sandbox)

    def key_for(self, deployment: Deployment) -> str | None:
        """The key to send to `deployment`; None where it needs none or there is none."""
        key = self._keys.get(deployment.api_key_env or "")
        return None if key is None else key.get_secret_value()

    def why_not_offered(self, deployment: Deployment) -> str | None:
        """None when `deployment` can be used, otherwise the reason."""
        return self._no_sandbox if deployment.adapter == SANDBOX else self._missing(deployment)

    def _missing(self, deployment: Deployment) -> str | None:
        if deployment.api_key_env is None or deployment.api_key_env in self._keys:
            return None
        return f"no credential: set {deployment.api_key_env}"

    def __repr__(self) -> str:
        return f"Credentials(for {', '.join(self._keys) or 'nothing'})"


def _setting(settings: Settings, name: str) -> str:
    value = getattr(settings, name.lower(), None)
    return value.get_secret_value() if isinstance(value, SecretStr) else ""


def _why_no_sandbox(sandbox: str, real: bool) -> str | None:
    if sandbox == "off":
        return "the sandbox is off: set SANDBOX=on"
    if sandbox == "auto" and real:
        return "the sandbox is not offered beside real providers: set SANDBOX=on"
    return None
